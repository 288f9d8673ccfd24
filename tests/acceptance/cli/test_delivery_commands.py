"""`mailengine delivery` and `campaign report` on a campaign that had every fate."""

import asyncio
import sqlite3

import pytest

from mailengine.core.config import load_settings
from mailengine.core.ids import CampaignId
from mailengine.core.scope import InstanceScope
from mailengine.domain.accounts.tenants import cli_scope
from mailengine.domain.campaigns.campaigns import get_by_name
from mailengine.domain.campaigns.expand import expand_page
from mailengine.domain.campaigns.finish import finish
from mailengine.domain.contacts.suppression import HASH_PURPOSE
from mailengine.domain.delivery import outcome
from mailengine.domain.delivery.claim import claim
from mailengine.mail.replies import judge, parse_reply
from mailengine.runtime import open_runtime
from support.installation import Installation


@pytest.fixture(scope="module")
def fates(installation: Installation) -> Installation:
    """Spring was sent: one accepted, one refused, one in doubt."""
    installation.ok("campaign", "send", "Spring", "--yes")
    asyncio.run(_play(installation))
    return installation


async def _play(installation: Installation) -> None:
    refused = judge(parse_reply("552 5.2.2 mailbox \x1b[31mfull"), "rcpt")
    instance = InstanceScope("test")
    async with open_runtime(load_settings(data_dir=installation.data_dir)) as rt:
        now = rt.clock.now()
        async with rt.db.read(instance) as tx:
            scope = await cli_scope(tx, instance, slug="acme")
            campaign_id = CampaignId((await get_by_name(tx, scope, name="Spring")).id or 0)
        hash_key = rt.keyring.derive_for_ever(HASH_PURPOSE)
        while await expand_page(rt.db, scope, campaign_id=campaign_id, hash_key=hash_key, now=now):
            pass
        async with rt.db.write(scope) as tx:
            tasks = await claim(
                tx, scope, campaign_id=campaign_id, claim_token="t", owner="o", limit=9, now=now
            )
            ann, bob, cyd = sorted(tasks, key=lambda task: task.email)
            outcomes = [
                outcome.sent(ann, "250 ok"),
                outcome.failed(bob, refused),
                outcome.doubtful(cyd, "the worker died"),
            ]
            await outcome.record(
                tx, scope, campaign_id=campaign_id, claim_token="t", outcomes=outcomes, now=now
            )
        await finish(rt.db, scope, campaign_id=campaign_id, now=now)


def test_the_report_says_what_became_of_everybody(fates: Installation) -> None:
    report = fates.ok("campaign", "report", "Spring", "--json").json
    assert report["held"] == []
    counts = {name: report[name] for name in ("state", "recipients", "sent", "failed", "doubt", "queued")}
    assert counts == {
        "state": "sent", "recipients": 3, "sent": 1, "failed": 1, "doubt": 1, "queued": 0
    }  # fmt: skip
    (failure,) = report["failures"]
    assert (failure["cause"], failure["count"], failure["code"]) == ("mailbox_full", 1, 552)
    ran = fates.ok("campaign", "report", "Spring")
    assert "mailbox_full" in ran.out
    assert "\x1b" not in ran.out + ran.err
    assert "in doubt" in ran.err


def test_doubts_and_letters_are_listed_settled_and_tried_again(fates: Installation) -> None:
    (doubt,) = fates.ok("delivery", "doubts", "list", "--campaign", "Spring", "--json").json["items"]
    assert (doubt["address"], doubt["reason"]) == ("cyd@example.net", "the worker died")
    (letter,) = fates.ok("delivery", "dead-letters", "list", "--json").json["items"]
    assert (letter["address"], letter["cause"], letter["attempts"]) == (
        "bob@example.net", "mailbox_full", 1
    )  # fmt: skip
    shown = fates.ok("delivery", "dead-letters", "show", str(letter["id"]), "--json").json
    assert shown["campaign"] == "Spring"
    assert "bob@example.net" in fates.ok("delivery", "dead-letters", "list").out
    with sqlite3.connect(fates.database) as connection:
        connection.execute("UPDATE campaigns SET deleted_at = finished_at")
    of_deleted = fates.ok("delivery", "dead-letters", "show", str(letter["id"]), "--json").json
    with sqlite3.connect(fates.database) as connection:
        connection.execute("UPDATE campaigns SET deleted_at = NULL")
    connection.close()
    assert of_deleted == shown
    for words, count in (("FULL", 1), ("bob@", 1), ("greylisted", 0)):
        found = fates.ok("delivery", "dead-letters", "list", "--search", words, "--json").json
        assert found["total"] == count
    for wrong in (("doubts", "settle", "999", "--as", "sent"), ("dead-letters", "show", "999")):
        ran = fates.run("delivery", *wrong)
        assert ran.code == 1
        assert ran.complaint
    assert fates.run("delivery", "doubts", "settle", str(doubt["id"]), "--as", "gone").code == 2
    assert "--yes" in fates.run("delivery", "doubts", "resend", str(doubt["id"])).complaint
    assert fates.run("delivery", "dead-letters", "requeue").code == 2
    _another_tenant_finds_nothing(fates, doubt["id"], letter["id"])
    settled = fates.ok("delivery", "doubts", "settle", str(doubt["id"]), "--as", "sent", "--json").json
    assert settled == {"settled": 1, "as": "sent"}
    done = fates.ok("delivery", "dead-letters", "requeue", "--campaign", "Spring", "--json").json
    assert done == {"requeued": 1, "kept": 0}
    report = fates.ok("campaign", "report", "Spring", "--json").json
    assert (report["state"], report["sent"], report["failed"], report["queued"]) == ("sending", 2, 0, 1)
    assert "nothing is in doubt" in fates.ok("delivery", "doubts", "list").err
    assert "no dead letters" in fates.ok("delivery", "dead-letters", "list").err


def _another_tenant_finds_nothing(fates: Installation, doubt: int, letter: int) -> None:
    def other(*arguments: str) -> int:
        return fates.run("delivery", *arguments, MAILENGINE_TENANT="other").code

    assert other("doubts", "settle", str(doubt), "--as", "sent") == 1
    assert other("doubts", "resend", str(doubt), "--yes") == 1
    assert other("dead-letters", "show", str(letter)) == 1
    ran = fates.ok(
        "delivery", "dead-letters", "requeue", "--id", str(letter), "--json", MAILENGINE_TENANT="other"
    )
    assert ran.json == {"requeued": 0, "kept": 0}
    for listed in ("doubts", "dead-letters"):
        ran = fates.ok("delivery", listed, "list", "--json", MAILENGINE_TENANT="other")
        assert ran.json == {"items": [], "total": 0, "next": None}
