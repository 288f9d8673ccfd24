"""SPF, DKIM and DMARC records, judged from a corpus (records.toml) without a network."""

import contextlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailengine.domain.senders.spf import SpfError, judge_spf, parse
from mailengine.domain.senders.tag_records import judge_dkim, judge_dmarc, tags
from mailengine.domain.senders.verdicts import Checks, Status, Verdict, unknown

pytestmark = pytest.mark.anyio

CORPUS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("records.toml").read_text())
OURS = "v=DKIM1; k=rsa; p=MIIBIjAN+/4="


def cases(kind: str) -> list[Any]:
    return [pytest.param(case, id=case["why"]) for case in CORPUS[kind]]


def assert_as_expected(verdict: Verdict, case: dict[str, Any]) -> None:
    assert verdict.status == case["status"], verdict
    assert case["words"] in verdict.words
    assert "\n" not in verdict.words


async def fetch(name: str) -> list[str]:
    return list(CORPUS["zone"].get(name, []))


@pytest.mark.parametrize("case", cases("spf"))
async def test_spf(case: dict[str, Any]) -> None:
    assert_as_expected(await judge_spf("example.org", case["texts"], fetch), case)


@pytest.mark.parametrize("case", cases("dkim"))
def test_dkim(case: dict[str, Any]) -> None:
    assert_as_expected(judge_dkim("me1._domainkey.example.org", case["texts"], OURS), case)


@pytest.mark.parametrize("case", cases("dmarc"))
def test_dmarc(case: dict[str, Any]) -> None:
    domain = case.get("domain", "example.org")
    assert_as_expected(judge_dmarc(domain, case.get("at", domain), case["texts"]), case)


@given(st.text(max_size=200))
async def test_no_text_breaks_a_parser(text: str) -> None:
    tags(text)
    judge_dkim("name", [text], OURS)
    judge_dmarc("example.org", "example.org", [text])
    with contextlib.suppress(SpfError):
        parse("v=spf1 " + text)


def test_a_domain_is_verified_when_all_three_pass() -> None:
    good, bad = Verdict(Status.PASS, ""), Verdict(Status.FAIL, "")
    assert Checks(good, good, good).verified
    assert not Checks(good, bad, good).verified
    assert not Checks(good, unknown("no answer"), good).verified
    assert not Checks(good, unknown("no answer"), good).failed
