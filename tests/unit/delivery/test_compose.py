"""A composed message needs no look before it goes on the wire, whoever it is for."""

import re
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from html import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailengine.core.secrets import Keyring
from mailengine.domain.content.values import Person
from mailengine.domain.delivery.compose import Composer
from mailengine.domain.delivery.smtp import Envelope
from mailengine.domain.delivery.smtp.endpoint import Capabilities
from mailengine.domain.delivery.smtp.framing import objection, stuffed
from mailengine.domain.tracking.tokens import TokenSigner
from mailengine.mail.dkim import Signer, generate_ed25519
from mailengine.models import Snapshot
from support.world import NOON

BARE = Capabilities(extensions={})


@pytest.fixture(scope="module")
def composer() -> Composer:
    return a_composer("http://127.0.0.1")


def a_composer(base_url: str) -> Composer:
    keyring = Keyring(b"k" * 32)
    snapshot = Snapshot(
        id=1, tenant_id=1, campaign_id=1, subject="News for {{ first_name }}",
        html="<p>.{{ first_name }}\n.{{ city }}</p>{% if last_name %}\n.<a href='{{ click_url }}/0'>x</a>{% endif %}",
        text="From {{ first_name }}\n.{{ city }}\n..\n{{ last_name }}", links=["https://example.org"],
        from_name="Häfen", from_email="news@example.org", reply_to="", created_at=NOON,
        settings={"organisation": "Hafen", "postal_address": "4 Dock Road\n.Leeds"},
    )  # fmt: skip
    signer = Signer("example.org", "s1", generate_ed25519().private_pem)
    return Composer(
        snapshot, tenant_slug="hafen", base_url=base_url, tokens=TokenSigner(keyring),
        verp_key=keyring.derive("return path"), signers=[signer],
    )  # fmt: skip


any_text = st.text(max_size=40) | st.text("\r\n.= \tF\x00\x85\u2028ü", max_size=40)


@settings(max_examples=200)
@given(
    any_text,
    any_text,
    any_text,
    st.sampled_from(
        [
            "a@example.org",
            "jörg@example.org",
            "a@müller.example",
            '"a> b"@example.org',
            '"a\\"@<b"@example.org',
        ]
    ),
)
def test_it_is_as_plain_as_it_says(
    composer: Composer, first_name: str, last_name: str, city: str, email: str
) -> None:
    made = composer.compose(7, 1, Person(email, first_name, last_name, {"city": city}), NOON)
    assert made.plain == ("jörg" not in email)
    looked_at = Envelope(made.mail_from, made.rcpt_to, made.content, None, made.smtputf8, plain=False)
    taken = Envelope(made.mail_from, made.rcpt_to, made.content, None, made.smtputf8, plain=True)
    if made.plain:
        assert objection(looked_at, BARE) is None
        assert stuffed(looked_at) == stuffed(taken) == made.content
    else:
        assert objection(looked_at, BARE) is not None


def test_what_was_encoded_for_one_recipient_is_right_for_the_next(composer: Composer) -> None:
    for first_name, city in [("A&B", "Łódź"), ("Łódź", "A&B"), ("A&B", ""), ("", "A&B"), ("<b>", "<b>")] * 2:
        made = composer.compose(7, 1, Person("a@example.org", first_name, "", {"city": city}), NOON)
        parsed = message_from_bytes(made.content, policy=default)
        text, html = (part.get_content().splitlines() for part in parsed.iter_parts())
        assert text[:2] == [f"From {first_name}", f".{city}"]
        escaped = [
            value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            for value in (first_name, city)
        ]
        assert html[0] == f"<p>.{escaped[0]}"
        assert html[1].startswith(f".{escaped[1]}</p>")
        assert parsed["Subject"].strip() == f"News for {first_name}".strip()


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1", "https://news." + "long." * 12 + "example.org", "https://example.org/a=b&c"],
)
def test_links_arrive_as_they_are(base_url: str) -> None:
    made = a_composer(base_url).compose(7, 1, Person("a@example.org", "Ann", "Lee", {"city": ""}), NOON)
    body = message_from_bytes(made.content, policy=default).get_body(("html",))
    assert body is not None
    (link,) = re.findall("<a href='(.*?)'>", body.get_content())
    assert re.fullmatch(re.escape(escape(base_url)) + "/c/[\\w-]{30}/0", link)
    encoded = made.content.partition(b"\r\n\r\n")[2]
    assert max(map(len, encoded.split(b"\r\n"))) <= 76


def test_the_date_is_that_of_the_message_s_second(composer: Composer) -> None:
    for microseconds, seconds in ((0, 0), (999_999, 0), (1_000_000, 1), (1_999_999, 1), (0, 0)):
        now = NOON + timedelta(microseconds=microseconds)
        made = composer.compose(7, 1, Person("a@example.org", "", "", {}), now)
        parsed = message_from_bytes(made.content, policy=default)
        assert parsed["Date"].datetime == NOON + timedelta(seconds=seconds)
