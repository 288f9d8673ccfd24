"""What the network answered, kept for a while: asked once at a time, for a bounded number of names."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from mailengine.core.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A value and for how long it may be used; a failure is a value too."""

    value: T
    seconds: float


class Answers(Generic[T]):
    """Asks `ask` for a name that is not known or no longer fresh; `ask` must not raise.

    The limit keeps a list of a million domains from filling the memory: the least used go first.
    """

    def __init__(self, clock: Clock, ask: Callable[[str], Awaitable[Answer[T]]], *, limit: int) -> None:
        self._clock = clock
        self._ask = ask
        self._limit = limit
        self._kept: OrderedDict[str, tuple[T, datetime]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, name: str) -> T:
        """The answer; whoever asks for the same name meanwhile waits for the same question."""
        found = self._kept.get(name)
        if found is not None and self._clock.now() < found[1]:
            self._kept.move_to_end(name)
            return found[0]
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.create_task(self._ask_and_keep(name))
            asking.add_done_callback(lambda _: self._asking.pop(name, None))
        return await asyncio.shield(asking)  # one who gives up must not take the answer from the others

    async def close(self) -> None:
        """End the questions that nobody waits for any more."""
        for asking in (open_questions := list(self._asking.values())):
            asking.cancel()
        if open_questions:
            await asyncio.wait(open_questions)

    async def _ask_and_keep(self, name: str) -> T:
        answer = await self._ask(name)
        self._kept[name] = (answer.value, self._clock.now() + timedelta(seconds=answer.seconds))
        self._kept.move_to_end(name)
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return answer.value
