"""Sending domains: keys made and sealed, records checked against a real DNS server."""

import pytest
import sqlalchemy as sa
from sqlmodel import col

from mailengine.core.config import DnsSettings
from mailengine.core.errors import Conflict, NotFound
from mailengine.core.scope import Scope
from mailengine.db.tenancy import tenant_of
from mailengine.db.unit import Database
from mailengine.domain.senders import domains
from mailengine.domain.senders.dns import Lookup, check, records
from mailengine.domain.senders.verdicts import Checks
from mailengine.mail.dkim import KeyPair, generate_ed25519, sign
from mailengine.models import Campaign
from peers.dns_zone import DnsZone
from support.house import KEYRING, NOW, add_campaign

pytestmark = pytest.mark.anyio

PAIR = generate_ed25519()


async def add(
    db: Database, scope: Scope, domain: str = "example.org", key: KeyPair = PAIR
) -> domains.DomainKeys:
    async with db.write(scope) as tx:
        return await domains.add_domain(tx, scope, domain=domain, key=key, keyring=KEYRING, now=NOW)


def lookup(zone: DnsZone, seconds: float = 2) -> Lookup:
    return Lookup(DnsSettings(nameservers=(zone.host,), port=zone.port, timeout_seconds=seconds))


def publish(zone: DnsZone, added: domains.DomainKeys) -> None:
    """Put the records into the zone as their zone lines say."""
    for record in records(added.domain, added.keys):
        name, _, text = record.zone_line.partition(". 3600 IN TXT ")
        zone.records[name] = [("TXT", text.removeprefix("( ").removesuffix(" )"))]


async def store(db: Database, scope: Scope, checks: Checks) -> bool:
    async with db.write(scope) as tx:
        row = await domains.store_checks(tx, scope, domain="example.org", checks=checks, now=NOW)
    return row.verified_at is not None


async def test_what_is_shown_verifies_once_it_is_published(
    db: Database, scope: Scope, dns_zone: DnsZone
) -> None:
    added = await add(db, scope, key=await domains.new_key())
    before = await check(added.domain, added.keys, lookup(dns_zone))
    assert [verdict.status for verdict in (before.spf, before.dkim, before.dmarc)] == ["fail"] * 3
    assert not await store(db, scope, before)
    publish(dns_zone, added)
    after = await check(added.domain, added.keys, lookup(dns_zone))
    assert after.verified, after
    assert await store(db, scope, after)


async def test_a_resolver_that_is_down_takes_no_verification_away(
    db: Database, scope: Scope, dns_zone: DnsZone
) -> None:
    added = await add(db, scope)
    publish(dns_zone, added)
    assert await store(db, scope, await check(added.domain, added.keys, lookup(dns_zone)))
    dns_zone.servfail |= {"example.org", "_dmarc.example.org"}
    dns_zone.silent |= {"me1._domainkey.example.org"}
    failing = await check(added.domain, added.keys, lookup(dns_zone, seconds=0.3))
    assert {verdict.status for verdict in (failing.spf, failing.dkim, failing.dmarc)} == {"unknown"}
    assert "could not ask" in failing.spf.words
    assert await store(db, scope, failing)
    dns_zone.servfail.clear()
    dns_zone.records["example.org"] = [("TXT", '"v=spf1 +all"')]
    assert not await store(db, scope, await check(added.domain, added.keys, lookup(dns_zone, seconds=0.3)))


async def test_a_policy_of_the_parent_counts(db: Database, scope: Scope, dns_zone: DnsZone) -> None:
    added = await add(db, scope, "news.example.org")
    dns_zone.records["_dmarc.example.org"] = [("TXT", '"v=DMARC1; p=reject"')]
    checks = await check(added.domain, added.keys, lookup(dns_zone))
    assert checks.dmarc.words == "policy reject, inherited from example.org"


async def test_nothing_answers_on_the_port(db: Database, scope: Scope, dns_zone: DnsZone) -> None:
    added = await add(db, scope)
    nobody = Lookup(DnsSettings(nameservers=("127.0.0.1",), port=1, timeout_seconds=0.3))
    checks = await check(added.domain, added.keys, nobody)
    assert not checks.verified
    assert not checks.failed


async def test_domains_belong_to_their_tenant(db: Database, scope: Scope, other: Scope) -> None:
    await add(db, scope)
    async with db.read(other) as tx:
        assert (await domains.list_domains(tx, other)).total == 0
        assert await domains.signers(tx, other, domain="example.org", keyring=KEYRING) == []
        with pytest.raises(NotFound):
            await domains.get_domain(tx, other, domain="example.org")
    async with db.write(other) as tx:
        with pytest.raises(NotFound):
            await domains.remove(tx, other, domain="example.org", now=NOW)
    await add(db, other)
    with pytest.raises(Conflict, match="there already"):
        await add(db, scope, "EXAMPLE.org.")


async def test_mail_is_signed_by_its_domain_or_the_nearest_parent(db: Database, scope: Scope) -> None:
    await add(db, scope)
    await add(db, scope, "news.example.org", generate_ed25519())
    async with db.read(scope) as tx:

        async def signing(domain: str) -> list[bytes]:
            found = await domains.signers(tx, scope, domain=domain, keyring=KEYRING)
            return [sign([signer], b"From: a@example.org\r\n", b"\r\n") for signer in found]

        assert b"d=example.org" in (await signing("example.org"))[0]
        assert b"d=example.org" in (await signing("shop.example.org"))[0]
        assert b"d=news.example.org" in (await signing("de.news.example.org"))[0]
        assert await signing("example.net") == []
        assert await signing("notexample.org") == []


async def test_a_domain_goes_with_its_keys_unless_a_campaign_needs_it(db: Database, scope: Scope) -> None:
    await add(db, scope)
    campaign = await add_campaign(db, scope, state="sending", from_email="news@shop.example.org")
    async with db.write(scope) as tx:
        with pytest.raises(Conflict, match="Spring"):
            await domains.remove(tx, scope, domain="example.org", now=NOW)
    async with db.write(scope) as tx:
        await tx.execute(
            sa.update(Campaign)
            .where(tenant_of(Campaign) == scope.tenant_id, col(Campaign.id) == campaign.id)
            .values(state="cancelled")
        )
        await domains.remove(tx, scope, domain="example.org", now=NOW)
    async with db.read(scope) as tx:
        assert await domains.signers(tx, scope, domain="example.org", keyring=KEYRING) == []


async def test_a_second_key_signs_beside_the_first_once_the_dns_shows_it(
    db: Database, scope: Scope, other: Scope, dns_zone: DnsZone
) -> None:
    first = await add(db, scope, key=await domains.new_key())
    publish(dns_zone, first)
    assert await store(db, scope, await check(first.domain, first.keys, lookup(dns_zone)))
    async with db.write(scope) as tx:
        both = await domains.add_key(
            tx, scope, domain="example.org", key=await domains.new_key("ed25519"), keyring=KEYRING, now=NOW
        )
    assert [key.selector for key in both.keys] == ["me1", "me2"]
    assert await _signatures(db, scope) == 1  # nobody could check a second one yet
    assert await store(db, scope, await check(both.domain, both.keys, lookup(dns_zone)))
    publish(dns_zone, both)
    assert await store(db, scope, await check(both.domain, both.keys, lookup(dns_zone)))
    assert await _signatures(db, scope) == 2
    async with db.write(scope) as tx:
        await domains.remove_key(tx, scope, domain="example.org", selector="me1", now=NOW)
        with pytest.raises(Conflict, match="only key that signs"):
            await domains.remove_key(tx, scope, domain="example.org", selector="me2", now=NOW)
        with pytest.raises(NotFound):
            await domains.remove_key(tx, scope, domain="example.org", selector="me1", now=NOW)
    async with db.write(other) as tx:
        with pytest.raises(NotFound):
            await domains.remove_key(tx, other, domain="example.org", selector="me2", now=NOW)
        with pytest.raises(NotFound):
            await domains.add_key(tx, other, domain="example.org", key=PAIR, keyring=KEYRING, now=NOW)


async def test_a_published_key_that_vanishes_fails_the_check(
    db: Database, scope: Scope, dns_zone: DnsZone
) -> None:
    added = await add(db, scope)
    publish(dns_zone, added)
    await store(db, scope, await check(added.domain, added.keys, lookup(dns_zone)))
    del dns_zone.records["me1._domainkey.example.org"]
    async with db.read(scope) as tx:
        found = await domains.get_domain(tx, scope, domain="example.org")
    assert not await store(db, scope, await check(found.domain, found.keys, lookup(dns_zone)))


async def _signatures(db: Database, scope: Scope) -> int:
    async with db.read(scope) as tx:
        return len(await domains.signers(tx, scope, domain="example.org", keyring=KEYRING))
