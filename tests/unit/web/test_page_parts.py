"""Parts of the web face that need no database: the speed shown, an installation without assets."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from structlog.testing import capture_logs

import mailengine
from mailengine.core.ids import CampaignId
from mailengine.domain.reports.campaigns import Progress
from mailengine.domain.reports.speed import Speeds
from mailengine.web import manifest
from mailengine.web.pages.audit_log import KINDS
from mailengine.web.rendering import environment, worded

START = datetime(2026, 3, 1, tzinfo=UTC)
ROW = Progress(
    id=CampaignId(1),
    name="Spring",
    subject="S",
    state="sending",
    lists="",
    total=1000,
    sent=0,
    failed=0,
    skipped=0,
    doubt=0,
    queued=1000,
    launched_at=START,
    finished_at=None,
    rate=None,
    seconds_left=None,
)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def sent(count: int) -> Progress:
    return replace(ROW, sent=count, queued=1000 - count)


def test_the_speed_is_that_of_the_last_seconds() -> None:
    speeds = Speeds()
    assert speeds.of(sent(0), at(0)).rate is None
    fast = speeds.of(sent(100), at(2))
    assert (fast.rate, fast.seconds_left) == (50.0, 18.0)
    for second in range(3, 20):
        stalled = speeds.of(sent(100), at(second))
    assert (stalled.rate, stalled.seconds_left) == (0.0, None)


def test_a_paused_campaign_starts_anew() -> None:
    speeds = Speeds()
    speeds.of(sent(0), at(0))
    paused = speeds.of(replace(sent(100), state="paused"), at(2))
    assert paused.rate is None
    assert speeds.of(sent(100), at(60)).rate is None


def test_without_assets_pages_are_plain_and_the_log_says_why(tmp_path: Path) -> None:
    with capture_logs() as logged:
        found = manifest.load(tmp_path)
    assert not found.built
    assert "web assets are not built" in logged[0]["event"]
    page = environment(found).get_template("public/gone.html").render(theme="")
    assert "This link does not work" in page


def test_an_attribute_that_is_called_by_its_name_reads_as_words() -> None:
    labels = {
        "signed_up": "Signed up",
        "plan": "Plan",
        "T-shirt size": "T-shirt size",
        "größe": "größe",
        "iPhone": "iPhone",
    }
    assert {label: worded(label) for label in labels} == labels


def test_the_audit_page_offers_every_kind_of_act_as_a_filter() -> None:
    domain = Path(mailengine.__file__).parent / "domain"
    recorded = set(chain.from_iterable(_recorded(path) for path in domain.rglob("*.py")))
    assert set(KINDS) == recorded
    assert list(KINDS) == sorted(KINDS)


def _recorded(path: Path) -> Iterator[str]:
    """What stands before the dot of each action that a file gives to `audit.record`, where it stands in the call."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("audit.record"):
            for text in ast.walk(node.args[2]):
                kind, dot, _ = str(getattr(text, "value", "")).partition(".")
                if isinstance(text, ast.Constant) and kind and dot:
                    yield kind
