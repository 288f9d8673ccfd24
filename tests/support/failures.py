"""Messages that did not arrive, or may not have, as a worker would have left them."""

from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from mailengine.models import CampaignTotals, DeadLetter, EmailTask, TaskStatus
from mailengine.runtime import Runtime
from support.house import INSTANCE


async def fail_message(rt: Runtime, sent: Any, status: TaskStatus) -> None:
    """The tenant's one message as a dead letter, or in doubt."""
    async with rt.db.write(INSTANCE) as tx:
        chosen = col(EmailTask.id) == sent.task_id
        token = "claim" if status == TaskStatus.DOUBT else None
        values = {"status": status, "external_msg_id": None, "claim_token": token}
        await tx.execute(sa.update(EmailTask).where(chosen).values(values))
        counted = {"failed": int(status == TaskStatus.FAILED), "doubt": int(status == TaskStatus.DOUBT)}
        of = col(CampaignTotals.campaign_id) == sent.campaign_id
        await tx.execute(sa.update(CampaignTotals).where(of).values(sent=0, **counted))
        if status == TaskStatus.FAILED:
            ids = {"task_id": sent.task_id, "campaign_id": sent.campaign_id, "contact_id": sent.contact_id}
            words = {"email": sent.email, "cause": "content", "reply": "554 <spam>"}
            tx.add(DeadLetter(tenant_id=sent.scope.tenant_id, at=rt.clock.now(), **ids, **words))
