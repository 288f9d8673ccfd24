"""A route's lane in one worker process: the messages that wait for it and the connections that carry them.

Messages are composed a few at a time when a connection asks for one: between two network events the processor has
forgotten the composer, and a single message takes three times as long as one of sixteen. Each is asked about once
more when it is handed out, so that a pause, a kill switch or a changed state holds everything but what is in a
connection's hand (one message on the wire, one prepared behind it).
"""

import asyncio
import random
from collections import deque
from datetime import datetime, timedelta
from typing import Protocol, cast

from mailengine.core.clock import Clock
from mailengine.core.config import WorkerSettings
from mailengine.core.errors import InvalidInput
from mailengine.core.log import get_logger
from mailengine.domain.delivery import outcome
from mailengine.domain.delivery.backoff import Pause
from mailengine.domain.delivery.batch import Job
from mailengine.domain.delivery.routes import Connection, NoRoute, Route
from mailengine.domain.delivery.servers import LeftAlone
from mailengine.domain.delivery.smtp import ConnectFailed, Envelope, Session, Stage
from mailengine.mail.replies import Reply, Verdict, judge

_IDLE_SECONDS = 5.0  # an open connection waits so long for more before it says QUIT
_TURN_MESSAGES = 20  # then it ends, where another waits for its place
_AHEAD_MESSAGES = 16
_AHEAD_BYTES = 256_000  # and no more than these, or one above: a message may be of megabytes
_AHEAD_SECONDS = 0.002  # or those of so long: while sixteen are signed, claims and replies wait
_TROUBLE = frozenset({"server", "rate", "auth", "network"})  # causes that concern the relay, not the message

log = get_logger("lane")


class Hooks(Protocol):
    """What a lane asks and tells its worker."""

    def may_send(self, job: Job) -> bool:
        """Whether the message may go out now; asked before it is composed and when it is handed out."""
        ...

    def on_hungry(self) -> None:
        """Few messages wait: claim more."""
        ...

    def on_fault(self, fault: BaseException) -> None:
        """A fault of ours: the worker must end, the journals settle what it had in hand."""
        ...


class Lane:
    """All connections of this process on one route.

    `shared`: the route is a relay that takes everybody's mail, so that its troubles are nobody's attempt; else
    they are those of the recipients' own servers, and each message counts a try. `messages_each`: so many must
    wait for each connection that is opened.
    """

    def __init__(
        self,
        route: Route,
        settings: WorkerSettings,
        clock: Clock,
        hooks: Hooks,
        *,
        shared: bool,
        connections: int,
        messages_each: int = 1,
    ) -> None:
        self.route = route
        self._ready: deque[Job] = deque()
        self._composed: deque[Envelope] = deque()
        self.more = asyncio.Event()
        self.stopping = False
        self.settings = settings
        self.clock = clock
        self.hooks = hooks
        self.low_mark = 0  # when so few messages wait, the worker claims again
        self.chance = random.Random()  # noqa: S311  # jitter, not secrets
        self.shared = shared
        self._most_connections = connections
        self._messages_each = messages_each
        self._connections: dict[asyncio.Task[None], Session | None] = {}
        self._pause = Pause()
        self._in_hand_at_an_end: set[int] = set()  # tasks; kept over pauses, which give all that waits back
        self.news: str | None = None  # since it was last written: the words of a trouble, none of a success

    @property
    def paused(self) -> bool:
        """True while the relay is left alone because it could not be reached or asked for less."""
        return self.paused_seconds > 0

    @property
    def paused_seconds(self) -> float:
        """How long it is still left alone."""
        return self._pause.seconds

    @property
    def waiting(self) -> int:
        """How many messages no connection has taken yet."""
        return len(self._ready) + len(self._composed)

    @property
    def busy(self) -> bool:
        return bool(self._connections)

    def push(self, jobs: list[Job]) -> None:
        self._ready.extend(jobs)
        self.more.set()
        self._open_connections()

    def take(self) -> Envelope | None:
        """The next message that may go out; None when there is none."""
        while self._composed or self._compose_ahead():
            envelope = self._composed.popleft()
            self._one_less()
            job = _job(envelope)
            if self.hooks.may_send(job):
                return envelope
            job.batch.release(job)
        self.more.clear()
        self.hooks.on_hungry()
        return None

    def not_sent(self, job: Job, reason: str) -> None:
        """Its session ended before it was on the wire. Once may be chance. Twice, and it is what the server hangs up
        at: a try that failed, or it would be the first one in each session to come, and nobody else got anything."""
        if self.stopping:
            job.batch.release(job)
            return
        if job.task.id in self._in_hand_at_an_end:
            self.refusal(job, Verdict("deferred", "network", 0, None, reason, hard=False))
            return
        self._in_hand_at_an_end.add(job.task.id)
        if self.paused:
            job.batch.release(job)
        else:  # another connection takes it
            self._ready.appendleft(job)
            self.more.set()

    def purge(self) -> None:
        """Give back whatever waits and may not be sent now."""
        for job in self._drained():
            if self.hooks.may_send(job):
                self._ready.append(job)
            else:
                job.batch.release(job)

    def trouble(self, words: str) -> None:
        """The server itself has a problem: slow down, and give back what waits for it."""
        seconds = self._pause.begin(self.chance)
        if seconds is not None:
            self.news = words or "it ended the connection"
            log.warning(
                "server in trouble", route=self.route.name, pause_seconds=round(seconds, 1), words=words
            )
        if self.shared:
            self.release_all()
        else:
            self._refuse_all(Verdict("deferred", "network", 0, None, words, hard=False))

    def success(self, job: Job) -> None:
        self._pause.success()
        self._in_hand_at_an_end.discard(job.task.id)
        self.news = ""

    def hold(self, jobs: list[Job], seconds: float, words: str) -> None:
        """Back to the queue until the server is asked again: no try of theirs."""
        due = self.clock.now() + timedelta(seconds=seconds)
        for job in jobs:
            job.batch.settle(outcome.held(job.task, due, words))

    def release_all(self) -> None:
        for job in self._drained():
            job.batch.release(job)

    def refusal(self, job: Job, verdict: Verdict) -> None:
        """Settle a message that was refused: tried again later, or a dead letter."""
        self._in_hand_at_an_end.discard(job.task.id)
        retry_for = timedelta(hours=self.settings.retry_hours)
        job.batch.settle(
            outcome.after_refusal(
                job.task, verdict, now=self.clock.now(), retry_for=retry_for, chance=self.chance
            )
        )

    def _refuse_all(self, verdict: Verdict) -> None:
        for job in self._drained():
            self.refusal(job, verdict)

    def _drained(self) -> list[Job]:
        """All that waited, in order; nothing waits any more."""
        waited = [*map(_job, self._composed), *self._ready]
        self._composed.clear()
        self._ready.clear()
        return waited

    def _compose_ahead(self) -> bool:
        """Compose a few; False when nothing that waits may be sent."""
        room, now = _AHEAD_BYTES, self.clock.now()
        loop = asyncio.get_running_loop()
        until = loop.time() + _AHEAD_SECONDS
        while self._ready and room > 0 and len(self._composed) < _AHEAD_MESSAGES:
            if self._composed and loop.time() > until:
                break
            job = self._ready.popleft()
            if not self.hooks.may_send(job):
                job.batch.release(job)
                self._one_less()
                continue
            envelope = _envelope(job, now)
            if envelope is None:
                self._one_less()
                continue
            self._composed.append(envelope)
            room -= len(envelope.content)
        return bool(self._composed)

    def _one_less(self) -> None:
        """Claims follow what connections take, not what is composed ahead: two of a campaign wait or are sent."""
        if self.waiting == self.low_mark:
            self.hooks.on_hungry()

    def stop(self) -> None:
        """No new messages; connections finish what they have in hand."""
        self.stopping = True
        self.release_all()
        for task, session in self._connections.items():
            if session is None:
                task.cancel()  # it waits for its place, or for the server: it has nothing in hand
            else:
                session.quit()
        self.more.set()

    async def finished(self) -> None:
        while self._connections:
            await asyncio.wait(set(self._connections))
            await asyncio.sleep(0)

    async def abort(self) -> None:
        """Drop the connections; what was on the wire is in doubt."""
        for task in list(self._connections):
            task.cancel()
        await self.finished()

    def _open_connections(self) -> None:
        useful = -(-self.waiting // self._messages_each)
        wanted = min(self._most_connections, useful) - len(self._connections)
        for _ in range(wanted):
            task = asyncio.create_task(self._connection())
            self._connections[task] = None
            task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task, None)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            self.hooks.on_fault(fault)
        elif self.waiting and not self.paused and not self.stopping:
            self._open_connections()

    async def _connection(self) -> None:
        try:
            connection = await self.route.open(lambda: self.waiting > 0)
        except LeftAlone as rest:
            self.hold(self._drained(), rest.seconds, str(rest))
            return
        except ConnectFailed as error:
            self.trouble(str(error))
            return
        except NoRoute as error:
            self._refuse_all(error.verdict)
            return
        if connection is None:
            return
        task = asyncio.current_task()
        assert task is not None
        session = self._connections[task] = connection.session
        try:
            ending = await session.run(LaneSource(self, connection))
            if ending.reason in ("closing", "dropped", "timeout", "protocol"):
                log.info("connection ended", route=self.route.name, why=ending.reason, words=ending.detail)
                if session.sent_count == 0:
                    connection.slot.trouble(ending.detail, rate=False)
                    self.trouble(ending.detail)
        finally:
            await connection.close()


class LaneSource:
    """What one connection takes its messages from, and tells their fate (smtp.Source)."""

    def __init__(self, lane: Lane, connection: Connection) -> None:
        self._lane = lane
        self._slot = connection.slot
        self._slot.on_change = lane.more.set
        self._loop = asyncio.get_running_loop()
        self._left = lane.settings.messages_per_connection
        self._turn_ends = self._left - _TURN_MESSAGES
        self._expires = connection.session.opened_at + lane.settings.connection_age_seconds
        self._wired_at = 0.0  # of the one message whose end is on the wire

    def next(self) -> Envelope | None:
        if self._lane.stopping or self._worn_out():
            return None
        envelope = self._lane.take()
        if envelope is not None:
            self._left -= 1
        return envelope

    async def wait(self) -> bool:
        lane = self._lane
        if lane.stopping or lane.paused or self._slot.wanted or self._worn_out():
            return False
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await lane.more.wait()
        except TimeoutError:
            return False
        return not lane.stopping

    def _worn_out(self) -> bool:
        """Enough for one connection, by messages or by age (servers count both), by its turn or for the server."""
        slot = self._slot
        if slot.barred or (slot.wanted and self._left <= self._turn_ends):
            return True
        return self._left <= 0 or self._loop.time() > self._expires

    def on_wire(self, envelope: Envelope) -> None:
        job = _job(envelope)
        job.batch.journal.on_wire(job.slot)
        self._wired_at = self._loop.time()

    def accepted(self, envelope: Envelope, reply: Reply) -> None:
        job = _job(envelope)
        words = f"{reply.code} {reply.text}"
        job.batch.journal.accepted(job.slot, words)
        job.batch.answer_seconds.append(self._loop.time() - self._wired_at)
        job.batch.settle(outcome.sent(job.task, words))
        self._lane.success(job)
        self._slot.success()

    def refused(self, envelope: Envelope, stage: Stage, reply: Reply) -> None:
        job = _job(envelope)
        job.batch.journal.refused(job.slot)
        verdict = judge(reply, stage)
        lane = self._lane
        lane.refusal(job, verdict)
        if verdict.outcome == "deferred" and verdict.cause in _TROUBLE:
            self._slot.trouble(verdict.text, rate=verdict.cause == "rate")
            lane.trouble(verdict.text)
        else:
            self._slot.success()

    def unsent(self, envelope: Envelope, reason: str) -> None:
        self._lane.not_sent(_job(envelope), reason)

    def doubtful(self, envelope: Envelope, reason: str) -> None:
        job = _job(envelope)
        job.batch.settle(outcome.doubtful(job.task, reason))
        # A server that loses replies would put one message after another in doubt.
        self._slot.trouble(reason, rate=False)
        self._lane.trouble(reason)


def cannot_compose(error: InvalidInput) -> Verdict:
    """The verdict on a message that cannot be made for this recipient."""
    return Verdict(outcome="rejected", cause="content", code=0, enhanced=None, text=str(error), hard=False)


def _job(envelope: Envelope) -> Job:
    return cast(
        Job, envelope.ref
    )  # as _envelope made it; to look at an abstract class costs half a microsecond


def _envelope(job: Job, now: datetime) -> Envelope | None:
    """The message, or None after the task was settled because this recipient cannot be written to."""
    try:
        composed = job.compose(now)
    except InvalidInput as error:
        job.batch.settle(outcome.failed(job.task, cannot_compose(error)))
        return None
    return Envelope(
        composed.mail_from, composed.rcpt_to, composed.content, job, composed.smtputf8, composed.plain
    )
