"""What `doctor` looks at, from the machine to the DNS of each domain. Each examination says what it found and, where
something is wrong, why that matters and what to do; none of them changes anything.
"""

from mailengine.cli.examination import database, dns, machine, relays, web
from mailengine.cli.examination.finding import Finding, Level, worst
from mailengine.cli.installation import database_shown
from mailengine.core.config import Settings
from mailengine.core.errors import MailengineError
from mailengine.runtime import open_runtime

__all__ = ["Finding", "Level", "examine", "worst"]


async def examine(settings: Settings, *, offline: bool) -> list[Finding]:
    """Everything, unless `offline` without what asks other machines; what cannot be opened ends it there."""
    findings = machine.examine(settings)
    try:
        async with open_runtime(settings) as rt:
            findings.append(Finding("database", "ok", database_shown(settings)))
            findings += await database.examine(rt)
            findings += await web.examine(rt, offline=offline)
            if not offline:
                findings += [finding async for finding in relays.examine(rt)]
                findings += [finding async for finding in dns.examine(rt)]
    except MailengineError as error:
        findings.append(
            Finding("database", "error", str(error), why="nothing can be read or sent without the database")
        )
    return findings
