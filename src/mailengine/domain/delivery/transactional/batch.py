"""One claim of messages while it is worked on."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailengine.core.clock import Clock
from mailengine.db.unit import WriteTx
from mailengine.domain.delivery import outcome
from mailengine.domain.delivery.batch import Batch, Job
from mailengine.domain.delivery.claim import ClaimedTask
from mailengine.domain.delivery.compose import Composed
from mailengine.domain.delivery.outcome import Outcome
from mailengine.domain.delivery.transactional.claim import ClaimedMessage, renew
from mailengine.domain.delivery.transactional.compose import compose
from mailengine.domain.delivery.transactional.record import record
from mailengine.mail.dkim import Signer
from mailengine.mail.replies import Verdict
from mailengine.models import TaskStatus


@dataclass(slots=True, kw_only=True)
class MessageBatch(Batch):
    """Messages of one tenant."""

    clock: Clock
    retry_for: timedelta
    chance: random.Random

    def settle(self, result: Outcome) -> None:
        Batch.settle(self, self._at_least_once(result))  # super() does not find a class with slots

    def _at_least_once(self, result: Outcome) -> Outcome:
        """What is in doubt is tried again: a reset that comes twice is better than one that never comes."""
        if result.status is not TaskStatus.DOUBT:
            return result
        return in_doubt(
            result.task, result.words, now=self.clock.now(), retry_for=self.retry_for, chance=self.chance
        )

    async def record(self, tx: WriteTx, outcomes: Sequence[Outcome], *, now: datetime) -> None:
        await record(tx, self.scope, claim_token=self.claim_token, outcomes=outcomes, now=now)

    async def renew(self, tx: WriteTx, *, now: datetime) -> None:
        await renew(tx, self.scope, claim_token=self.claim_token, now=now)


@dataclass(slots=True)
class MessageJob(Job):
    """One message to send."""

    task: ClaimedMessage
    signers: Sequence[Signer]
    verp_key: bytes

    def compose(self, now: datetime) -> Composed:
        return compose(self.task, signers=self.signers, verp_key=self.verp_key, now=now)


def in_doubt(
    task: ClaimedTask, words: str, *, now: datetime, retry_for: timedelta, chance: random.Random
) -> Outcome:
    """Tried again later, until the time for retries is over."""
    verdict = Verdict("deferred", "network", 0, None, words, hard=False)
    return outcome.after_refusal(task, verdict, now=now, retry_for=retry_for, chance=chance)
