"""Whose data is looked at, and the way to it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.unit import ReadTx, WriteTx
from mailengine.domain.accounts.tenants import scope_in
from mailengine.models import Tenant
from mailengine.runtime import Runtime

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class Desk:
    """The installation, and the tenant that is looked at now; changing it changes what every question answers."""

    def __init__(self, rt: Runtime, instance: InstanceScope, tenant: Tenant) -> None:
        self.rt, self.instance = rt, instance
        self.open_questions: set[asyncio.Task[Any]] = set()
        self.sit_at(tenant)

    def sit_at(self, tenant: Tenant) -> None:
        """Look at another tenant from now on."""
        self.scope: Scope = scope_in(tenant, self.instance)
        self.tenant = tenant.name

    async def settled(self) -> None:
        """Until every question that was begun is answered; before the database is closed."""
        while self.open_questions:
            await asyncio.wait(self.open_questions)

    def now(self) -> datetime:
        return self.rt.clock.now()

    def read(self) -> AbstractAsyncContextManager[ReadTx]:
        return self.rt.db.read(self.scope)

    def write(self) -> AbstractAsyncContextManager[WriteTx]:
        return self.rt.db.write(self.scope)


@dataclass(frozen=True, slots=True)
class Choice:
    """A tenant to look at."""

    slug: str
    name: str


class AtDesk(Protocol):
    """A part of the source."""

    @property
    def desk(self) -> Desk: ...


Part = TypeVar("Part", bound=AtDesk)


def whole(
    method: Callable[Concatenate[Part, Given], Coroutine[Any, Any, Answer]],
) -> Callable[Concatenate[Part, Given], Coroutine[Any, Any, Answer]]:
    """A question that goes to its end also when its screen was left meanwhile: cutting a statement off in its middle
    would cost the connection."""

    @wraps(method)
    async def asked(part: Part, /, *args: Given.args, **kwargs: Given.kwargs) -> Answer:
        questions = part.desk.open_questions
        task = asyncio.create_task(method(part, *args, **kwargs))
        questions.add(task)
        task.add_done_callback(questions.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_heard)
            raise

    return asked


def _heard(task: asyncio.Task[Any]) -> None:
    """Nobody waits for the answer any more, nor for what went wrong."""
    if not task.cancelled():
        task.exception()
