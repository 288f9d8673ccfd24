"""A throw-away installation with a campaign of the size that is asked for, on SQLite or PostgreSQL."""

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mailengine.core.config import Settings, load_settings
from mailengine.core.ids import CampaignId
from mailengine.core.scope import InstanceScope, Scope
from mailengine.core.secrets import create_secret
from mailengine.db.tenancy import table_of
from mailengine.domain.accounts.tenants import create_tenant, scope_in
from mailengine.domain.campaigns import campaigns, expand
from mailengine.domain.campaigns.launch import launch
from mailengine.domain.contacts.attributes import register
from mailengine.domain.contacts.lists import get_or_create
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.content import templates
from mailengine.domain.senders import domains, relays
from mailengine.migrations.run import upgrade
from mailengine.models import CampaignTotals, Contact, DkimKey, ListMember, Tls
from mailengine.runtime import Runtime, open_runtime

_FIRST = ("Ann", "Jürgen", "Marie", "Łukasz", "Tom", "Zoë", "Ines", "Peter", "Ayşe", "Ola", "Ravi", "Noor")
_STEMS, _ENDS = (
    ("Hol", "Mü", "Ber", "Kow", "Sö", "Van"),
    ("ler", "stein", "ski", "man", "berg", "son", "dal", "ný", "es"),
)
_TOWNS = ("Łódź", "Leeds", "Porto", "Köln", "Lyon")
CAMPAIGN, LIST, DOMAIN = "Spring", "Everyone", "example.org"
INSTANCE = InstanceScope("bench")
_CHUNK = 20_000
_STORY = (
    "<p style='margin:0 0 16px;line-height:24px'>The harbour was quiet when the first boats came in, and nobody on "
    "the quay could have said how long the light had stood over the water. We wrote down what we heard.</p>"
)
# Issue 3: 4 kB of HTML, three merge tags, one condition, three tracked links.
HTML = (
    "<html><body style='margin:0'><h1>Hello {{ first_name|default('there') }} {{ last_name }}</h1>"
    + _STORY * 8
    + "<p><a href='https://example.org/spring?from=letter'>The spring letter</a></p>"
    + "{% if plan == 'pro' %}<p>Your evening is on us.</p>{% else %}<p>Come by when you like.</p>{% endif %}"
    + _STORY * 6
    + "<p><a href='https://example.org/stories'>All stories</a> from {{ city|default('your city') }}</p>"
    + "<p><a href='https://example.org/shop'>The shop</a></p>"
    + "<p>{{ postal_address }} <a href='{{ unsubscribe_url }}'>Unsubscribe</a></p></body></html>"
)


@dataclass
class House:
    """`settings` are the ones that daemons on it get too."""

    rt: Runtime
    scope: Scope
    campaign_id: CampaignId

    async def launch(self, *, expanded: bool) -> None:
        await launch(self.rt.db, self.scope, campaign_id=self.campaign_id, now=self.rt.clock.now())
        hash_key = self.rt.keyring.derive_for_ever(HASH_PURPOSE)
        while expanded and await expand.expand_page(
            self.rt.db, self.scope, campaign_id=self.campaign_id, hash_key=hash_key, now=self.rt.clock.now()
        ):
            pass

    async def done(self) -> int:
        """How many recipients have an outcome."""
        totals = table_of(CampaignTotals).c
        done = sa.select(totals.sent + totals.failed + totals.skipped + totals.doubt).where(
            totals.tenant_id == self.scope.tenant_id, totals.campaign_id == self.campaign_id
        )
        async with self.rt.db.read(self.scope) as tx:
            return await tx.scalar(done) or 0

    def message_bytes(self) -> int:
        """The size of what is sent."""
        compose = ("debug", "compose", "--campaign", CAMPAIGN, "--contact", address(0))
        return len(
            subprocess.run(command(self.rt.settings, *compose), capture_output=True, check=True).stdout
        )


def command(settings: Settings, *arguments: str) -> list[str]:
    where = ["--data-dir", str(settings.data_dir), "--database-url", settings.database_url]
    return [sys.executable, "-m", "mailengine", *where, *arguments]


@asynccontextmanager
async def house(
    url: str | None, *, recipients: int, port: int, keys: Sequence[str] = (), **sections: dict[str, Any]
) -> AsyncIterator[House]:
    """An installation whose campaign is a draft; `url` None is SQLite in its directory, `keys` are the algorithms
    that each message is signed with, `sections` are settings."""
    with tempfile.TemporaryDirectory(prefix="mailengine-bench-") as folder:
        settings = load_settings(data_dir=Path(folder), database={"url": url} if url else None, **sections)
        create_secret(Path(folder) / "secret.key")
        await upgrade(settings.database_url, settings.database)
        async with open_runtime(settings) as rt:
            scope = await _tenant(rt, port)
            await _people(rt, scope, recipients)
            await _sign(rt, scope, keys)
            yield House(rt, scope, await _draft(rt, scope))


async def _tenant(rt: Runtime, port: int) -> Scope:
    now = rt.clock.now()
    async with rt.db.write(INSTANCE) as tx:
        made = await create_tenant(
            tx, INSTANCE, name="Harbour", country="GB", postal_address="4 Dock Road, Leeds", now=now
        )
    scope = scope_in(made, INSTANCE)
    details = relays.check_relay(name="sink", host="127.0.0.1", port=port, tls=Tls.NONE)
    async with rt.db.write(scope) as tx:
        await relays.add(tx, scope, details=details, keyring=rt.keyring, now=now)
        await register(tx, scope, {"plan": "plan", "city": "city"})
    return scope


def address(number: int) -> str:
    return f"reader{number}@example{number % 300}.org"


def _names(number: int) -> dict[str, str]:
    """As in a real list: few first names, thousands of last names, a third of them not ASCII."""
    stem, end = number * 7919 % 30, number * 104_729 % 97
    return {
        "first_name": _FIRST[number % len(_FIRST)],
        "last_name": f"{_STEMS[stem % 6]}{_ENDS[end % 9]}{'aeiou'[stem % 5]}{end}",
    }


async def _people(rt: Runtime, scope: Scope, count: int) -> None:
    now = rt.clock.now()
    common = {
        "tenant_id": scope.tenant_id, "state": "subscribed", "consent_source": "", "consent_ip": "",
        "created_at": now, "updated_at": now,
    }  # fmt: skip
    async with rt.db.write(scope) as tx:
        listed = await get_or_create(tx, scope, name=LIST, now=now)
    member = {"list_id": listed.id, "tenant_id": scope.tenant_id, "state": "subscribed", "joined_at": now}
    for start in range(0, count, _CHUNK):
        numbers = range(start, min(start + _CHUNK, count))
        rows: list[dict[str, Any]] = [
            {
                **common,
                "id": number + 1,  # the table is empty, and asking for ids would cost more than the rest
                "email": address(number),
                "email_key": address(number),
                **_names(number),
                "attributes": {
                    "plan": "pro" if number % 3 else "free",
                    "city": f"{_TOWNS[number % 5]} {number % 97}",
                },
            }
            for number in numbers
        ]
        async with rt.db.write(scope) as tx:
            await tx.execute(sa.insert(table_of(Contact)), rows)
            await tx.execute(
                sa.insert(table_of(ListMember)), [{**member, "contact_id": number + 1} for number in numbers]
            )


async def _sign(rt: Runtime, scope: Scope, algorithms: Sequence[str]) -> None:
    """Keys that sign at once, as if the DNS had shown them."""
    for number, algorithm in enumerate(algorithms):
        key, now = await domains.new_key(algorithm), rt.clock.now()
        store = domains.add_key if number else domains.add_domain
        async with rt.db.write(scope) as tx:
            await store(tx, scope, domain=DOMAIN, key=key, keyring=rt.keyring, now=now)
            await tx.execute(
                sa.update(table_of(DkimKey))
                .where(table_of(DkimKey).c.tenant_id == scope.tenant_id)
                .values(published_at=now)
            )


async def _draft(rt: Runtime, scope: Scope) -> CampaignId:
    prepared = await templates.prepare(HTML, known=("plan", "city"))
    now = rt.clock.now()
    fields = campaigns.Fields(
        name=CAMPAIGN,
        template=CAMPAIGN,
        lists=[LIST],
        subject="News for {{ first_name|default('you') }}",
        sender=f"Harbour <letters@{DOMAIN}>",
    )
    async with rt.db.write(scope) as tx:
        await templates.add(tx, scope, name=CAMPAIGN, prepared=prepared, now=now)
        campaign = await campaigns.create(tx, scope, fields, now=now)
    assert campaign.id is not None
    return CampaignId(campaign.id)


@contextmanager
def daemon(settings: Settings, processes: int, **environment: str) -> Iterator[int]:
    """`mailengine daemon` with so many workers at most; its process id."""

    environment = {**os.environ, **environment, "MAILENGINE_WORKER_PROCESSES": str(processes)}
    log = (settings.data_dir / "daemon.log").open("wb")
    with log:
        process = subprocess.Popen(
            command(settings, "daemon", "--role", "worker,scheduler", "--with-stdin"),
            stdin=subprocess.PIPE,
            stderr=log,
            env=environment,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)
        assert process.stdin is not None
        process.stdin.close()
