"""The demo from beginning to end."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from mailengine.cli.demo import recipients, show, stage
from mailengine.cli.demo.examples import contacts_file
from mailengine.cli.demo.processes import Catcher, Daemon, Helper
from mailengine.cli.demo.proof import Proof, messages, prove
from mailengine.cli.demo.stage import Account
from mailengine.core.config import Settings
from mailengine.core.errors import Unavailable
from mailengine.core.ids import CampaignId
from mailengine.core.scope import Scope
from mailengine.domain.campaigns.launch import launch
from mailengine.domain.contacts.imports.report import ImportReport
from mailengine.domain.reports.campaigns import CampaignReport, figures
from mailengine.runtime import Runtime, open_runtime

_LOOK_SECONDS = 0.1
_QUIET_SECONDS = 60.0  # a send without any progress for so long has failed
_COUNTED_SECONDS = 15.0  # hits are written in batches, a moment after they came
_SEED = 2026

AnyHelper = TypeVar("AnyHelper", bound=Helper)


@dataclass(frozen=True, slots=True)
class Result:
    """What came out; `as_dict` is what `--json` prints."""

    proof: Proof
    contacts: ImportReport
    report: CampaignReport
    acts: recipients.Acts
    account: Account
    url: str
    data_dir: Path

    @property
    def good(self) -> bool:
        """Exactly one message each, and every act of a recipient in the figures."""
        return self.proof.holds and not self.acts.refused and _counted(self.report, self.acts)

    def as_dict(self) -> dict[str, Any]:
        return {
            "exactly_once": self.proof.holds,
            **asdict(self.proof),
            "import": self.contacts.as_dict(),
            "campaign": asdict(self.report),
            "recipients": asdict(self.acts),
            "url": self.url,
            "data_dir": str(self.data_dir),
        }


@asynccontextmanager
async def performed(settings: Settings, *, contacts: int, port: int) -> AsyncIterator[tuple[Result, Daemon]]:
    """The whole play; the daemon and the catcher run until the block is left."""
    scene = show.Stage()
    maildir = settings.data_dir / "caught"
    scene.title("mailengine demo: the main job on example data, with the real parts")
    await stage.make_database(settings)
    with _ending(Catcher(maildir, settings.data_dir / "catcher.log")) as catcher:
        scene.step("Installation", str(settings.data_dir))
        scene.step("Mail catcher", f"SMTP on 127.0.0.1:{catcher.port}")
        async with open_runtime(settings) as rt:
            scope, account = await stage.make_tenant(rt)
            with _ending(Daemon(settings.data_dir, port, maildir)) as daemon:
                imported = await _prepare(rt, scope, scene, catcher, contacts)
                url = await daemon.url()
                scene.step("Daemon", url)
                campaign_id = await _send(rt, scope, scene, daemon)
                proof = await prove(rt, scope, maildir)
                scene.step("Proof", show.proof_words(proof), good=proof.holds)
                acts = await _recipients(scene, maildir)
                report = await _final_report(rt, scope, campaign_id, acts)
                data_dir = settings.data_dir
                yield Result(proof, imported, report, acts, account, url, data_dir), daemon


async def _prepare(
    rt: Runtime, scope: Scope, scene: show.Stage, catcher: Catcher, contacts: int
) -> ImportReport:
    selector = await stage.add_sender(rt, scope, port=catcher.port)
    scene.step("Sender", f"letters@{stage.DOMAIN}, DKIM key {selector} (RSA 2048)")
    began = time.monotonic()
    path = contacts_file(contacts, rt.settings.data_dir)
    imported = await stage.import_contacts(rt, scope, path)
    counts, took = imported.counts, time.monotonic() - began
    scene.step(
        "Contacts",
        f"{counts.created:,} of {counts.rows:,} rows in {took:.1f} s; "
        f"{counts.duplicates:,} doubled, {counts.rejected:,} bad",
    )
    await stage.add_template(rt, scope)
    scene.step("Template", f"{stage.TEMPLATE}: merge tags, a condition, tracked links")
    return imported


async def _send(rt: Runtime, scope: Scope, scene: show.Stage, daemon: Daemon) -> CampaignId:
    """Launch, and watch the daemon do the rest."""
    campaign_id = await stage.draft(rt, scope)
    launched = await launch(rt.db, scope, campaign_id=campaign_id, now=rt.clock.now())
    with scene.progress("Sending", launched.audience) as bar:
        report = await _sent(rt, scope, campaign_id, daemon, bar)
    progress = report.progress
    assert progress.launched_at is not None
    assert progress.finished_at is not None
    took = (progress.finished_at - progress.launched_at).total_seconds()
    said = f"{progress.sent:,} messages in {took:.1f} s, {progress.sent / took:,.0f} a second"
    scene.step("Sent", said, good=progress.sent == launched.audience)
    return campaign_id


async def _sent(
    rt: Runtime, scope: Scope, campaign_id: CampaignId, daemon: Daemon, bar: show.Bar
) -> CampaignReport:
    done, moved_at = -1, time.monotonic()
    while True:
        daemon.check()
        report = await _figures(rt, scope, campaign_id)
        progress = report.progress
        handled = progress.sent + progress.failed + progress.skipped + progress.doubt
        bar.move(handled, progress.total)
        if progress.finished_at is not None:
            return report
        if handled != done:
            done, moved_at = handled, time.monotonic()
        elif time.monotonic() - moved_at > _QUIET_SECONDS:
            raise Unavailable(f"nothing was sent for {_QUIET_SECONDS:.0f} s; see daemon.log in the directory")
        await asyncio.sleep(_LOOK_SECONDS)


async def _recipients(scene: show.Stage, maildir: Path) -> recipients.Acts:
    caught = list(messages(maildir))
    with scene.progress("Recipients", len(caught)) as bar:
        acts = await recipients.act(caught, seed=_SEED, done=bar.advance)
    scene.step(
        "Recipients",
        f"{acts.opens:,} opened, {acts.clicks:,} clicked, {acts.unsubscribes:,} left by one click",
    )
    return acts


async def _final_report(
    rt: Runtime, scope: Scope, campaign_id: CampaignId, acts: recipients.Acts
) -> CampaignReport:
    """The report, as soon as what the recipients did is in it."""
    deadline = time.monotonic() + _COUNTED_SECONDS
    while True:
        report = await _figures(rt, scope, campaign_id)
        if _counted(report, acts) or time.monotonic() > deadline:
            return report
        await asyncio.sleep(_LOOK_SECONDS)


def _counted(report: CampaignReport, acts: recipients.Acts) -> bool:
    counted = (report.opens.unique, report.clicks.unique, report.unsubscribes)
    return counted == (acts.opens, acts.clicks, acts.unsubscribes)


async def _figures(rt: Runtime, scope: Scope, campaign_id: CampaignId) -> CampaignReport:
    async with rt.db.read(scope) as tx:
        return await figures(tx, scope, campaign_id=campaign_id, now=rt.clock.now())


@contextmanager
def _ending(helper: AnyHelper) -> Iterator[AnyHelper]:
    try:
        yield helper
    finally:
        helper.stop()
