"""The envelopes a session holds, and the promise that each is settled once.

An envelope is in exactly one place: `current` (its commands are being answered), `leaving` (DATA got 354
and its content is being written), `on_wire` (its end of data was handed to the transport). A place is
emptied before the source is told, so that a source that raises cannot be told twice.
"""

from collections.abc import Callable

from mailengine.domain.delivery.smtp.envelope import Envelope, Source, Stage
from mailengine.mail.replies import Reply


class Held:
    """What one session has taken from its source and not yet settled."""

    __slots__ = ("current", "leaving", "on_wire", "refusal", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.current: Envelope | None = None
        self.leaving: Envelope | None = None
        self.on_wire: Envelope | None = None
        self.refusal: tuple[Stage, Reply] | None = None  # the first refusal of `current`'s commands

    def refuse_current(self) -> None:
        envelope, self.current = self.current, None
        refusal, self.refusal = self.refusal, None
        assert envelope is not None
        assert refusal is not None
        self.source.refused(envelope, *refusal)

    def refuse_leaving(self, reply: Reply) -> None:
        envelope, self.leaving = self.leaving, None
        assert envelope is not None
        self.source.refused(envelope, "final", reply)

    def refuse_on_wire(self, reply: Reply) -> None:
        envelope, self.on_wire = self.on_wire, None
        assert envelope is not None
        self.source.refused(envelope, "final", reply)

    def accept_on_wire(self, reply: Reply) -> None:
        envelope, self.on_wire = self.on_wire, None
        assert envelope is not None
        self.source.accepted(envelope, reply)

    def mark_on_wire(self) -> None:
        """The journal first; only then may the end of data go to the transport."""
        envelope = self.leaving
        assert envelope is not None
        self.source.on_wire(envelope)
        self.on_wire, self.leaving = envelope, None

    def settle_all(self, reason: str) -> BaseException | None:
        """The connection is over: settle what is held. Returns what the source raised, if it did."""
        error: BaseException | None = None
        settlements: tuple[Callable[[str], None], ...] = (
            self._doubt,
            self._give_back_leaving,
            self._give_back,
        )
        for settle in settlements:
            try:
                settle(reason)
            except BaseException as raised:  # the other envelopes must still be settled
                error = error or raised
        return error

    def _doubt(self, reason: str) -> None:
        envelope, self.on_wire = self.on_wire, None
        if envelope is not None:
            self.source.doubtful(envelope, reason)

    def _give_back_leaving(self, reason: str) -> None:
        envelope, self.leaving = self.leaving, None
        if envelope is not None:
            self.source.unsent(envelope, reason)

    def _give_back(self, reason: str) -> None:
        if self.refusal is not None:
            self.refuse_current()
            return
        envelope, self.current = self.current, None
        if envelope is not None:
            self.source.unsent(envelope, reason)
