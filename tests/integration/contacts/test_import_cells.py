"""Files with a cell that nobody expects: the rest of them is stored, and can be read again."""

from collections.abc import Awaitable, Callable

import pytest

from mailengine.core.scope import Scope
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.models import Contact
from support.house import NOW

pytestmark = pytest.mark.anyio
Importing = Callable[..., Awaitable[ImportReport]]
Stored = Callable[[Scope], Awaitable[dict[str, Contact]]]
Membership = Callable[[Scope], Awaitable[dict[int, str]]]


async def test_an_implausible_date_of_consent_costs_its_row(
    importing: Importing, stored: Stored, scope: Scope
) -> None:
    text = "email,consent_at\n" + "".join(
        f"p{number}@example.org,{date}\n"
        for number, date in enumerate(
            [
                "0001-01-01",
                "0001-01-01T00:00:00",
                "1066-10-14",
                "9999-12-31T23:59:59-12:00",
                "2124-01-01",
                "2024-01-02",
            ]
        )
    )
    report = await importing(text)
    assert (report.counts.created, report.counts.rejected) == (3, 3)
    assert [error.reason.partition(" ")[2] for error in report.errors] == [
        "is too old for a date of consent; leave it empty if it is not known",
        "is not a date of consent; write it as 2025-12-24",
        "lies in the future for a date of consent; leave it empty if it is not known",
    ]
    people = await stored(scope)
    assert (
        {email: str(row.consent_at)[:10] for email, row in people.items()}
        == {
            "p0@example.org": str(NOW)[:10],  # as if the file said nothing
            "p1@example.org": str(NOW)[:10],
            "p5@example.org": "2024-01-02",
        }
    )
    assert (await importing(text)).counts.unchanged == 3


async def test_a_cell_that_no_database_stores_costs_its_row(
    importing: Importing, stored: Stored, scope: Scope
) -> None:
    report = await importing(
        'email,tags,likes\na@example.org,"[""\\ud800""]",\n'
        'b@example.org,,"[""\\ud800""]"\nc@example.org,"""x""\r""y""",\nd@example.org,vip,"[""tea""]"\n',
        mapping={"likes": "likes:list"},
    )
    assert (report.counts.created, report.counts.rejected) == (2, 2)
    assert set(await stored(scope)) == {"c@example.org", "d@example.org"}


async def test_half_a_character_in_json_of_listmonk_costs_its_row(
    importing: Importing, stored: Stored, scope: Scope
) -> None:
    report = await importing(
        "uuid,email,name,attributes,status,created_at,updated_at\n"
        '1,a@example.org,A,"{""city"": ""\\ud800""}",enabled,,\n'
        '2,b@example.org,B,"{""\\ud800"": 1}",enabled,,\n'
        '3,c@example.org,C,"{""city"": ""Bonn""}",enabled,,\n'
    )
    assert [(error.line, error.reason) for error in report.errors] == [
        (2, "it holds bytes that are no text in the file's encoding")
    ]
    assert set(await stored(scope)) == {"b@example.org", "c@example.org"}


async def test_who_said_no_is_not_subscribed(
    importing: Importing, stored: Stored, membership: Membership, scope: Scope
) -> None:
    report = await importing(
        "email,Opt-in,Status\na@example.org,yes,customer\nb@example.org,no,customer\n"
        "c@example.org,,customer\nd@example.org,perhaps,customer\n"
    )
    people = await stored(scope)
    assert {email[0]: row.state for email, row in people.items()} == {
        "a": "subscribed", "b": "unsubscribed", "c": "unconfirmed",
    }  # fmt: skip
    on_list = await membership(scope)
    assert {row.id: on_list[row.id or 0] for row in people.values()} == {
        row.id: row.state for row in people.values()
    }
    assert [error.reason for error in report.errors] == [
        "'perhaps' does not say whether they are subscribed; write yes or no, or make its column an attribute"
    ]
