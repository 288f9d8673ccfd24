"""What leaves is what was meant: through a real Postfix into a Maildir, read by other people's parsers."""

import email.policy
import re
from collections.abc import AsyncIterator
from email.header import decode_header, make_header
from pathlib import Path

import dkim
import pytest
import sqlalchemy as sa

from mailengine.db.tenancy import table_of
from mailengine.domain.contacts.attributes import register
from mailengine.domain.senders.domains import add_domain, new_key
from mailengine.models import Contact
from peers.postfix import Postfix
from support.world import World, a_world, running

pytestmark = pytest.mark.anyio

HTML = (
    """<!doctype html>
<html><head><title>News</title></head><body>
<p>Grüße an {{ full_name }} aus {{ city|default("nirgendwo") }} — <b>{{ note }}</b></p>
<p>{% if plan == "pro" %}Danke, dass Sie dabei sind.{% else %}Jetzt wechseln!{% endif %}</p>
<p>.beginning with a dot, and From the start</p>
<p><a href="https://example.org/offer?a=1&amp;b=2">Angebot</a></p>
<p>"""
    + "ein sehr langer Absatz ohne Umbruch mit Ümläuten " * 60
    + """</p>
<p>{{ postal_address }} <a href="{{ unsubscribe_url }}">Abmelden</a></p>
</body></html>"""
)

HOSTILE = "x\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script>"

PEOPLE = {
    "plain": ("Ann", "Lee", {"city": "Köln", "plan": "pro", "note": "fine"}),
    "umlaut": ("Jürgen", "Groß-Müller", {"city": "東京", "plan": "free", "note": "ümläut"}),
    "script": ("Ἀλέξανδρος", "Παπαδόπουλος" * 9, {"city": "", "plan": "pro", "note": "🎉" * 40}),
    "hostile": (HOSTILE, 'O"Brien, <b>', {"city": HOSTILE, "plan": "pro", "note": HOSTILE}),
    "arabic": ("محمد", "الأحمد", {"note": "."}),
}


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(database_url, tmp_path / "data", tenant="Müller & Söhne <GmbH>") as made:
        yield made


@pytest.mark.peer("postfix")
async def test_messages_survive_a_real_server(world: World, postfix: Postfix, tmp_path: Path) -> None:
    addresses = {label: postfix.recipient(f"{label}-{tmp_path.name[-20:]}") for label in PEOPLE}
    await _people(world, addresses)
    await world.relay(postfix.port)
    key = await new_key()
    async with world.db.write(world.scope) as tx:
        domain = await add_domain(
            tx, world.scope, domain="example.org", key=key, keyring=world.keyring, now=world.clock.now()
        )
    campaign = await world.draft(
        html=HTML,
        subject="Neuigkeiten für {{ full_name }} – jetzt in {{ city|default('Ihrer Nähe') }}, mit allem",
        sender="Müller & Söhne, Versand <news@example.org>",
        reply_to="antwort@example.org",
    )
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign)
    record = domain.keys[0].public_record.encode()
    for label, address in addresses.items():
        await postfix.arrived(address, 1)
        (raw,) = postfix.messages(address)
        _check_message(raw, postfix.parsed(address)[0], label, address)
        assert dkim.verify(raw, dnsfunc=lambda name, timeout=5: record), label


def _check_message(raw: bytes, message: email.message.EmailMessage, label: str, address: str) -> None:
    first, last, attributes = PEOPLE[label]
    head = raw.partition(b"\n\n")[0]
    assert all(len(line) <= 998 for line in raw.splitlines())
    assert b"victim" not in b"".join(re.findall(rb"(?im)^bcc:.*$", head))
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert message["From"].addresses[0].display_name == "Müller & Söhne, Versand"
    assert message["From"].addresses[0].addr_spec == "news@example.org"
    assert message["To"].addresses[0].addr_spec == address
    if label != "hostile":
        # Python 3.11's phrase parser keeps the space between encoded words that RFC 2047 6.2 drops; this does not.
        raw_to = email.message_from_bytes(raw, policy=email.policy.compat32)["To"]
        assert str(make_header(decode_header(raw_to))).startswith(f"{first} {last}")
        expected = (
            f"Neuigkeiten für {first} {last} – jetzt in {attributes.get('city') or 'Ihrer Nähe'}, mit allem"
        )
        assert message["Subject"] == expected
    assert message["Reply-To"] == "antwort@example.org"
    assert message["Message-ID"].endswith("@example.org>")
    assert message["Date"].datetime.year == 2026
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert re.fullmatch(r"<http://127\.0\.0\.1:\d+/u/[\w-]{30}>", message["List-Unsubscribe"])
    assert message["List-Id"].endswith(".example.org>")
    assert message["Feedback-ID"].count(":") == 3
    assert re.fullmatch(r"<?b-[0-9a-f]{40}@example\.org>?", message["Return-Path"].strip())
    _check_bodies(message, label)


def _check_bodies(message: email.message.EmailMessage, label: str) -> None:
    first, last, attributes = PEOPLE[label]
    html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    text = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "<script" not in html
    assert ".beginning with a dot" in html
    assert "ein sehr langer Absatz ohne Umbruch mit Ümläuten ein" in html
    assert ("Danke, dass Sie dabei sind." in html) == (attributes.get("plan") == "pro")
    assert ("Danke, dass Sie dabei sind." in text) == (attributes.get("plan") == "pro")
    assert len(re.findall(r'href="http://127\.0\.0\.1:\d+/c/[\w-]{30}/0"', html)) == 1
    assert re.search(r"http://127\.0\.0\.1:\d+/c/[\w-]{30}/0", text)
    assert re.search(r'<img src="http://127\.0\.0\.1:\d+/o/[\w-]{30}\.gif"', html)
    assert "Street 1, Köln" in html
    assert "Street 1, Köln" in text
    if label != "hostile":
        assert f"Grüße an {first} {last} aus {attributes.get('city') or 'nirgendwo'}" in html
        assert str(attributes["note"]) in text


@pytest.mark.peer("postfix")
async def test_a_550_of_postfix_is_kept_in_its_own_words(
    world: World, postfix: Postfix, tmp_path: Path
) -> None:
    unknown = postfix.recipient(tmp_path.name[-20:], kind="unknown")
    await _people(world, {"plain": unknown})
    await world.relay(postfix.port)
    campaign = await world.draft()
    await world.launch(campaign)
    async with running(world.worker()):
        await world.settled(campaign)
    (letter,) = await world.dead_letters()
    assert (letter.code, letter.enhanced, letter.cause) == (550, "5.1.1", "recipient")
    assert unknown in letter.reply


async def _people(world: World, addresses: dict[str, str]) -> None:
    """Contacts of PEOPLE under the given addresses."""
    await world.people(len(addresses))
    contacts = table_of(Contact)
    async with world.db.write(world.scope) as tx:
        await register(tx, world.scope, {name: name for name in ("city", "plan", "note")})
        for number, (label, address) in enumerate(addresses.items()):
            first, last, attributes = PEOPLE[label]
            await tx.execute(
                sa.update(contacts)
                .where(
                    contacts.c.tenant_id == world.scope.tenant_id,
                    contacts.c.email == f"u{number}@example.org",
                )
                .values(
                    email=address,
                    email_key=address.lower(),
                    first_name=first,
                    last_name=last,
                    attributes=attributes,
                )
            )


def test_the_policy_used_is_strict() -> None:
    """The checks above rest on it: a broken header must raise."""
    policy = email.policy.SMTP.clone(raise_on_defect=True)
    with pytest.raises(email.errors.MessageDefect):
        email.message_from_bytes(b"Content-Type: multipart/mixed\r\n\r\nx", policy=policy)
