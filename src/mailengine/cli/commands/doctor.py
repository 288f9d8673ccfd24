"""`mailengine doctor`: is this installation in order, and what is to be done where it is not."""

from dataclasses import asdict
from typing import Annotated

import typer

from mailengine.cli import output
from mailengine.cli.session import run_async, settings_of

# What is examined loads inside the function: `--help` must stay quick.


def doctor(
    ctx: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Do not try the relays.")] = False,
    as_json: output.Json = False,
) -> None:
    """Examine the installation; exit code 0 when there is no error."""
    from mailengine.cli.examination import examine

    findings = run_async(examine(settings_of(ctx), offline=offline))
    healthy = all(finding.level != "error" for finding in findings)

    def text() -> None:
        for finding in findings:
            output.line(f"{finding.level:7}  {finding.name:10}  {output.one_line(finding.words)}")
            if finding.todo:
                output.line(f"{'':21}{output.one_line(finding.todo)}")

    output.emit(
        {"healthy": healthy, "findings": [asdict(finding) for finding in findings]},
        as_json=as_json,
        text=text,
    )
    if not healthy:
        raise typer.Exit(1)
