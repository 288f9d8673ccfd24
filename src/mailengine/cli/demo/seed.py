"""Made-up data for developing against: contacts, templates, a draft, and a campaign that looks as if it was sent.

The same rows each time. Nothing leaves the machine: the tenant's kill switch is on while the campaign exists in
the state `sending`, so that a daemon that runs does not send it.
"""

import random
import secrets
from datetime import datetime, timedelta

from mailengine.cli.demo import stage
from mailengine.cli.demo.examples import good_contacts_file
from mailengine.core.errors import Conflict
from mailengine.core.ids import CampaignId, TaskId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.db.tenancy import owned
from mailengine.domain.campaigns import expand, finish
from mailengine.domain.campaigns.launch import launch
from mailengine.domain.contacts.states import unsubscribe
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.delivery import kill_switch, outcome
from mailengine.domain.delivery.claim import ClaimedTask, claim
from mailengine.domain.tracking.events import message_of, origin, record
from mailengine.domain.tracking.intake import Hit, store
from mailengine.domain.tracking.tokens import Recipient
from mailengine.mail.replies import judge, parse_reply
from mailengine.models import Contact, EventKind
from mailengine.runtime import Runtime

CONTACTS = 500
SENT, DRAFT = "Autumn letter", "Spring offer"
TEMPLATES = {"Newsletter": "newsletter.html", "Announcement": "announcement.html", "Welcome": "welcome.html"}
_AGO = timedelta(days=3)
_REPLIES = (
    "550 5.1.1 no such user",
    "552 5.2.2 the mailbox is full",
    "554 5.7.1 the message looks like spam",
)
_FAIL, _OPEN, _CLICK, _LEAVE = 0.03, 0.42, 0.15, 0.02  # shares; who clicks or leaves has opened
_INSTANCE = InstanceScope("seed")


async def sow(rt: Runtime, scope: Scope) -> dict[str, int]:
    """Fill a tenant that has no contacts yet; raises Conflict for one that has."""
    async with rt.db.read(scope) as read:
        if await read.scalar(owned(Contact, scope).limit(1)) is not None:
            raise Conflict("this tenant has contacts already; seed only fills an empty one")
    imported = await stage.import_contacts(rt, scope, good_contacts_file(CONTACTS, rt.settings.data_dir))
    for name, file in TEMPLATES.items():
        await stage.add_template(rt, scope, file=file, name=name)
    await stage.draft(rt, scope, name=DRAFT, template="Announcement", subject="{Something|A little} for you")
    sent = await stage.draft(rt, scope, name=SENT)
    await _pretend_sent(rt, scope, sent, rt.clock.now() - _AGO)
    return {"contacts": imported.counts.created, "templates": len(TEMPLATES), "campaigns": 2}


async def _pretend_sent(rt: Runtime, scope: Scope, campaign_id: CampaignId, then: datetime) -> None:
    async with rt.db.write(_INSTANCE) as tx:
        await kill_switch.set_on(
            tx, _INSTANCE, tenant_id=scope.tenant_id, reason="seed data", actor=scope.actor, now=then
        )
    try:
        await launch(rt.db, scope, campaign_id=campaign_id, now=then)
        hash_key = rt.keyring.derive_for_ever(HASH_PURPOSE)
        while await expand.expand_page(rt.db, scope, campaign_id=campaign_id, hash_key=hash_key, now=then):
            pass
        chance = random.Random(11)  # noqa: S311  # made-up figures
        tasks = await _record(rt, scope, campaign_id, chance, then)
        await _readers(rt, scope, tasks, chance, then)
        await finish.finish(rt.db, scope, campaign_id=campaign_id, now=then + timedelta(minutes=1))
    finally:
        async with rt.db.write(_INSTANCE) as tx:
            await kill_switch.set_off(
                tx, _INSTANCE, tenant_id=scope.tenant_id, actor=scope.actor, now=rt.clock.now()
            )


async def _record(
    rt: Runtime, scope: Scope, campaign_id: CampaignId, chance: random.Random, then: datetime
) -> list[ClaimedTask]:
    """An outcome for every recipient; returns those that were accepted."""
    token = secrets.token_hex(12)
    async with rt.db.write(scope) as tx:
        tasks = await claim(
            tx, scope, campaign_id=campaign_id, claim_token=token, owner="seed", limit=CONTACTS, now=then
        )
        accepted, outcomes = [], []
        for task in tasks:
            if chance.random() < _FAIL:
                verdict = judge(parse_reply([chance.choice(_REPLIES).encode()]), "rcpt")
                outcomes.append(outcome.failed(task, verdict))
            else:
                accepted.append(task)
                outcomes.append(outcome.sent(task, "250 2.0.0 Ok: queued"))
        await outcome.record(
            tx,
            scope,
            campaign_id=campaign_id,
            claim_token=token,
            outcomes=outcomes,
            now=then + timedelta(minutes=1),
        )
    return accepted


async def _readers(
    rt: Runtime, scope: Scope, tasks: list[ClaimedTask], chance: random.Random, then: datetime
) -> None:
    """Opens and clicks over two days, most of them early; a few leave."""
    hits: list[Hit] = []
    leavers: list[tuple[ClaimedTask, datetime]] = []
    for task in tasks:
        mood = chance.random()
        at = then + timedelta(minutes=2 + min(chance.expovariate(1 / 300), 2800))
        if mood < _OPEN:
            hits.append(_hit(scope, task, EventKind.OPEN, at, chance))
        if mood < _CLICK:
            link = min(int(chance.expovariate(1.2)), 3)
            hits.append(_hit(scope, task, EventKind.CLICK, at + timedelta(seconds=40), chance, link))
        if _OPEN - _LEAVE <= mood < _OPEN:
            leavers.append((task, at + timedelta(seconds=90)))
    async with rt.db.write(_INSTANCE) as tx:
        await store(tx, _INSTANCE, hits)
    async with rt.db.write(scope) as tx:
        for task, at in leavers:
            message = await message_of(tx, scope, task_id=task.id)
            if await unsubscribe(tx, scope, contact_id=message.contact_id, now=at, reason="one-click"):
                await record(tx, scope, message, EventKind.UNSUBSCRIBE, now=at, origin=origin("", ""))


def _hit(
    scope: Scope,
    task: ClaimedTask,
    kind: EventKind,
    at: datetime,
    chance: random.Random,
    link: int | None = None,
) -> Hit:
    uid = f"{chance.getrandbits(128):032x}"
    return Hit(uid, Recipient(TaskId(task.id), scope.tenant_id), kind, at, link, "192.0.2.1", "Mozilla/5.0")
