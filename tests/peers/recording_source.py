"""A source that gives prepared envelopes and holds the session to its promises while it records fates."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from mailengine.domain.delivery.smtp import Envelope, Stage
from mailengine.mail.replies import Reply

CONTENT = b"Subject: hello\r\n\r\nHello, reader.\r\n"


def letter(name: str, content: bytes = CONTENT) -> Envelope:
    return Envelope(f"b-{name}@bounce.test", f"{name}@example.test", content, name)


@dataclass
class RecordingSource:
    """Fates by `ref`: "accepted", "refused", "unsent" or "doubtful", beside stage, reply or reason."""

    envelopes: Iterable[Envelope] = ()
    endless: bool = False  # wait() then waits for `add` or `finish`
    fates: dict[object, str] = field(default_factory=dict)
    replies: dict[object, Reply] = field(default_factory=dict)
    stages: dict[object, Stage] = field(default_factory=dict)
    reasons: dict[object, str] = field(default_factory=dict)
    journal: list[object] = field(default_factory=list)  # refs in the order they went on the wire

    def __post_init__(self) -> None:
        self._ready = deque(self.envelopes)
        self._changed = asyncio.Event()
        self._taken: set[object] = set()
        self._on_wire: object = None
        self.waiting = asyncio.Event()

    # For the test

    def add(self, *envelopes: Envelope) -> None:
        self._ready.extend(envelopes)
        self._changed.set()

    def finish(self) -> None:
        self.endless = False
        self._changed.set()

    @property
    def open(self) -> set[object]:
        """What was taken and not settled; empty when a run is over."""
        return self._taken - set(self.fates)

    # For the session

    def next(self) -> Envelope | None:
        if not self._ready:
            return None
        envelope = self._ready.popleft()
        assert envelope.ref not in self._taken
        self._taken.add(envelope.ref)
        return envelope

    async def wait(self) -> bool:
        self.waiting.set()
        while not self._ready and self.endless:
            self._changed.clear()
            await self._changed.wait()
        self.waiting.clear()
        return bool(self._ready)

    def on_wire(self, envelope: Envelope) -> None:
        assert self._on_wire is None, "two messages between on_wire and their final reply"
        assert envelope.ref in self.open
        self._on_wire = envelope.ref
        self.journal.append(envelope.ref)

    def accepted(self, envelope: Envelope, reply: Reply) -> None:
        assert self._on_wire == envelope.ref, "accepted, but never on the wire"
        self._settle(envelope, "accepted")
        self.replies[envelope.ref] = reply

    def refused(self, envelope: Envelope, stage: Stage, reply: Reply) -> None:
        self._settle(envelope, "refused")
        self.replies[envelope.ref] = reply
        self.stages[envelope.ref] = stage

    def unsent(self, envelope: Envelope, reason: str) -> None:
        assert envelope.ref not in self.journal, "on the wire, but said to be unsent"
        self._settle(envelope, "unsent")

    def doubtful(self, envelope: Envelope, reason: str) -> None:
        assert self._on_wire == envelope.ref, "in doubt, but never on the wire"
        self._settle(envelope, "doubtful")
        self.reasons[envelope.ref] = reason

    def _settle(self, envelope: Envelope, fate: str) -> None:
        assert envelope.ref in self._taken
        assert envelope.ref not in self.fates, f"{envelope.ref} is settled twice"
        self.fates[envelope.ref] = fate
        if self._on_wire == envelope.ref:
            self._on_wire = None
