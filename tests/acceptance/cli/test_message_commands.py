"""`mailengine send`, `delivery messages` and `tenant sender`: transactional mail for scripts."""

import asyncio

import pytest

from mailengine.core.config import load_settings
from mailengine.domain.delivery.recover import Owner
from mailengine.domain.delivery.worker import Worker
from mailengine.runtime import open_runtime
from peers.catcher import Catcher
from support.installation import Installation

HTML = "<p>Your order <b>7</b> is on its way, as the <a href='https://acme.de/7'>tracker</a> says.</p>"


@pytest.fixture(scope="module")
def delivered(installation: Installation, caught: Catcher) -> Installation:
    """One message that was sent, and one whose recipient does not exist."""
    installation.ok("tenant", "sender", "Acme Desk <desk@example.org>")
    caught.replies["dead@example.org"] = "550 5.1.1 no \x1b[31msuch user"
    for name in ("ann", "dead"):
        installation.ok(
            "send", "--to", f"{name}@example.org", "--subject", "Your order", "--html-file", "-",
            "--key", f"order {name}", stdin=HTML,
        )  # fmt: skip
    asyncio.run(_work(installation))
    return installation


async def _work(installation: Installation) -> None:
    """What the daemon's worker does, until nothing waits."""
    folder = installation.data_dir
    async with open_runtime(load_settings(data_dir=folder)) as rt:
        owner, stop = Owner("test", "boot"), asyncio.Event()
        worker = Worker(rt.db, rt.settings, rt.keyring, rt.clock, owner=owner, wire_folder=folder / "wire")
        working = asyncio.create_task(worker.run(stop))
        async with asyncio.timeout(20):
            while installation.sql("SELECT 1 FROM messages WHERE status IN ('queued', 'claimed')"):
                await asyncio.sleep(0.05)
        stop.set()
        await working


def test_what_was_sent_arrives_and_is_listed(delivered: Installation, caught: Catcher) -> None:
    (message,) = caught.messages_for("ann@example.org")
    assert message["From"] == "Acme Desk <desk@example.org>"
    plain = message.get_body(("plain",))
    assert plain is not None
    assert "Your order 7 is on its way" in plain.get_content()
    rows = delivered.ok("delivery", "messages", "list", "--json").json["items"]
    assert [(row["address"], row["status"]) for row in rows] == [
        ("dead@example.org", "failed"),
        ("ann@example.org", "sent"),
    ]
    assert delivered.ok("delivery", "messages", "list", "--status", "failed", "--json").json["total"] == 1
    shown = delivered.ok("delivery", "messages", "show", str(rows[0]["id"]))
    assert "such user" in shown.out
    assert "\x1b" not in shown.out
    assert "recipient" in shown.out
    assert "order <b>7" not in shown.out


def test_a_key_that_was_used_queues_nothing(delivered: Installation) -> None:
    before = delivered.ok("delivery", "messages", "list", "--json").json["total"]
    again = ("send", "--to", "ann@example.org", "--subject", "Again", "--text", "x", "--key", "order ann")
    assert delivered.ok(*again, "--json").json["id"] == 1
    assert delivered.ok("delivery", "messages", "list", "--json").json["total"] == before


def test_a_failed_one_can_be_tried_again(delivered: Installation, caught: Catcher) -> None:
    del caught.replies["dead@example.org"]
    assert delivered.ok("delivery", "messages", "requeue", "--cause", "auth", "--json").json["requeued"] == 0
    done = delivered.ok("delivery", "messages", "requeue", "--cause", "recipient", "--json").json
    assert done["requeued"] == 1
    asyncio.run(_work(delivered))
    assert len(caught.messages_for("dead@example.org")) == 1


def test_another_tenant_sees_none_of_it(delivered: Installation) -> None:
    other = {"MAILENGINE_TENANT": "other"}
    assert delivered.ok("delivery", "messages", "list", "--json", **other).json["items"] == []
    assert "no message 1" in delivered.run("delivery", "messages", "show", "1", **other).complaint
    assert delivered.ok("delivery", "messages", "requeue", "--all", "--json", **other).json["requeued"] == 0
    refused = delivered.run("send", "--to", "a@example.org", "--subject", "x", "--text", "x", **other)
    assert "tenant sender" in refused.complaint


def test_the_sender_can_be_shown_and_cleared(delivered: Installation) -> None:
    assert delivered.ok("tenant", "sender", "--json").json["address"] == "desk@example.org"
    delivered.ok("domain", "add", "acme.example")
    cleared = delivered.ok("tenant", "sender", "--clear", "--json").json
    assert cleared == {"name": "Acme", "address": "noreply@acme.example"}
    assert delivered.run("tenant", "sender", "no mailbox").code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--text", "x", "--text-file", "y"),
        (),
        ("--text", ""),
        ("--html-file", "missing.html"),
        ("--text", "x", "--kind", "A B"),
        ("--text", "x", "--from", "nobody"),
    ],
    ids=" ".join,
)
def test_wrong_input_is_one_line_and_queues_nothing(
    delivered: Installation, arguments: tuple[str, ...]
) -> None:
    before = delivered.sql("SELECT count(*) FROM messages")
    ran = delivered.run("send", "--to", "a@example.org", "--subject", "x", *arguments)
    assert (ran.code, bool(ran.complaint)) == (2, True)
    assert delivered.sql("SELECT count(*) FROM messages") == before
