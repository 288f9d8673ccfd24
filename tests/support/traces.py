"""A person of whom something is held in every table that can hold it, and a search through all there is."""

import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel.sql.sqltypes import AutoString

from mailengine.core.scope import Scope
from mailengine.db.tenancy import owned, table_of, tenant_of
from mailengine.db.types import UTCDateTime
from mailengine.db.unit import Database
from mailengine.domain.contacts.imports.request import errors_path
from mailengine.domain.privacy.holdings import Holding, holdings
from mailengine.models import (
    Campaign,
    CampaignTotals,
    Contact,
    ContactList,
    EmailTask,
    Job,
    ListMember,
    Segment,
    Suppression,
    Tag,
    metadata,
)
from mailengine.models.personal import Hold
from support.house import INSTANCE, NOW, add_campaign

ADDRESS = "zoe.quagga@example.org"
# Every value that tells of the person holds one of these, in whatever case.
TELLING = ("quagga", "203.0.113.77")


async def leave_traces(db: Database, scope: Scope, folder: Path, *, address: str = ADDRESS) -> int:
    """A contact with a row in every table that the models declare; returns its id."""
    campaign = await _campaign(db, scope)
    async with db.write(scope) as tx:
        contact = Contact(
            tenant_id=scope.tenant_id,
            email=address,
            email_key=address,
            first_name="Zoe",
            last_name="Quagga",
            attributes={"city": "Quaggatown"},
            consent_source="form of Quagga",
            consent_at=NOW,
            consent_ip="203.0.113.77",
            created_at=NOW,
            updated_at=NOW,
        )
        customers = ContactList(tenant_id=scope.tenant_id, name=f"List {address[:3]}", created_at=NOW)
        rule = {
            "rule": "compare",
            "field": "email",
            "op": "in",
            "value": [address.upper(), "bob@example.org"],
        }
        job = Job(
            tenant_id=scope.tenant_id, kind="import", state="done", created_at=NOW,
            title=f"tag vip: email = {address}".ljust(300, "."), error=f"no {address}.", result={address: [rule]},
        )  # fmt: skip
        segment = Segment(
            tenant_id=scope.tenant_id,
            name=f"Segment {address[:3]}",
            rule=rule,
            created_at=NOW,
            updated_at=NOW,
        )
        tx.add_all([contact, customers, job, segment])
        await tx.flush()
        assert contact.id is not None
        contact_id, job_id = contact.id, job.id
        await tx.execute(
            sa.update(Campaign)
            .where(table_of(Campaign).c.id == campaign.id, tenant_of(Campaign) == scope.tenant_id)
            .values(audience_rules={"include": [rule]})
        )
        tx.add(
            ListMember(list_id=customers.id, contact_id=contact.id, tenant_id=scope.tenant_id, joined_at=NOW)
        )
        known: dict[str, Any] = {"contact_id": contact_id, "campaign_id": campaign.id}
        tables = {holding.table: holding for holding in holdings()}
        task = tables.pop(table_of(EmailTask))
        row = await _row(tx, scope, task, known, address)
        known["task_id"] = await tx.scalar(sa.insert(task.table).values(row).returning(task.table.c.id))
        for holding in tables.values():
            if holding.table not in (table_of(Contact), table_of(ListMember)):
                row = await _row(tx, scope, holding, known, address)
                await tx.execute(sa.insert(holding.table).values(row))
        await tx.execute(
            sa.update(CampaignTotals)
            .where(
                table_of(CampaignTotals).c.campaign_id == campaign.id,
                tenant_of(CampaignTotals) == scope.tenant_id,
            )
            .values(tasks=table_of(CampaignTotals).c.tasks + 1, sent=table_of(CampaignTotals).c.sent + 1)
        )
        await tx.execute(
            sa.insert(metadata.tables["audit_log"]).values(
                tenant_id=scope.tenant_id, at=NOW, actor="link", address="203.0.113.77", action="x",
                resource="contact", resource_id=contact_id, details={},
            )
        )  # fmt: skip
    assert job_id is not None
    path = errors_path(folder, job_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"import_line,import_reason,email,name\n2,bad,{address.upper()} ,Zoe Quagga\n3,bad,bob@example.org,Bob\n"
        f"4,bad,{address.replace('@', ' @@').replace('.', '..')},Zoe Quagga\n"
    )
    return contact_id


async def _campaign(db: Database, scope: Scope) -> Campaign:
    """The tenant's campaign, and a tag."""
    async with db.write(scope) as tx:
        found = await tx.scalar(owned(Campaign, scope).limit(1))
        if found is None:
            tx.add(Tag(tenant_id=scope.tenant_id, name="vip", key="vip", created_at=NOW))
    return found or await add_campaign(db, scope, state="sent", name="Spring")


async def _row(
    tx: Any, scope: Scope, holding: Holding, known: dict[str, Any], address: str
) -> dict[str, Any]:
    """A row that the table takes, with something telling in every column that may have it."""
    row: dict[str, Any] = {}
    for column in holding.table.columns:
        hold = holding.columns.get(column.name)
        if column.name == "tenant_id":
            row[column.name] = scope.tenant_id
        elif column.name in known:
            row[column.name] = known[column.name]
        elif hold is not None:
            row[column.name] = _telling(hold, address)
        elif column.foreign_keys:
            (key,) = column.foreign_keys
            row[column.name] = await tx.scalar(
                sa.select(key.column).where(key.column.table.c.tenant_id == scope.tenant_id).limit(1)
            )
        elif not column.nullable and not (column.primary_key and isinstance(column.type, sa.Integer)):
            row[column.name] = _value(holding.table, column, known["contact_id"])
    if holding.table is table_of(Suppression):
        row["kind"] = "address"
    row.pop("id", None)
    if holding.table.name == "messages":
        row |= {"status": "failed", "finished_at": NOW}
    if holding.table.name == "email_tasks":
        row |= {"status": "sent", "finished_at": NOW}
    return row


def _telling(hold: Hold, address: str) -> Any:
    match hold:
        case Hold.ADDRESS | Hold.KEY:
            return address
        case Hold.TRACE:
            return "203.0.113.77"
        case Hold.DATA:
            return {"was": "Quagga"}
        case Hold.ITEMS:
            return ["Quagga"]
        case _:
            return f"of {address} Quagga"


def _value(table: sa.Table, column: sa.Column[Any], number: int) -> Any:
    for check in table.constraints:
        if isinstance(check, sa.CheckConstraint) and f"ck_{table.name}_{column.name}" == str(check.name):
            return re.findall(r"'([^']*)'", str(check.sqltext))[-1]
    if isinstance(column.type, UTCDateTime):
        return NOW
    if isinstance(column.type, sa.JSON):
        return {}
    if isinstance(column.type, sa.String | AutoString):
        return f"value {number}"
    return 0


async def told(db: Database, folder: Path) -> dict[str, list[str]]:
    """Everything in every table and every file of the installation that tells of the person."""
    found: dict[str, list[str]] = {}
    async with db.read(INSTANCE) as tx:
        names = await tx.run_sync(lambda session: sa.inspect(session.connection()).get_table_names())
        for name in names:
            rows = await tx.execute(sa.text(f'SELECT * FROM "{name}"'))
            texts = [str(tuple(row)) for row in rows]
            if hits := [text for text in texts if _tells(text)]:
                found[name] = hits
    for path in folder.rglob("*"):
        if path.is_file() and "sqlite" not in path.name and _tells(path.read_text(errors="replace")):
            found[path.name] = [path.read_text()]
    return found


def _tells(text: str) -> bool:
    return any(word in text.casefold() for word in TELLING)
