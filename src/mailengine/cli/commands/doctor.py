"""`mailengine doctor`: is this installation in order, and what is to be done where it is not."""

from dataclasses import asdict
from typing import Annotated

import typer

from mailengine.cli import output
from mailengine.cli.session import run_async, settings_of

# What is examined loads inside the function: `--help` must stay quick.

_ERROR, _WARNING = 1, 3


def doctor(
    ctx: typer.Context,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no other machine: no relay, no DNS, no proxy.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 3 for warnings.")] = False,
    as_json: output.Json = False,
) -> None:
    """Examine the installation; exit code 0 when there is no error, 3 with --strict for warnings."""
    from mailengine.cli.examination import examine, worst

    findings = run_async(examine(settings_of(ctx), offline=offline))
    severity = worst(findings)

    def text() -> None:
        for finding in findings:
            output.line(f"{finding.level:7}  {finding.name:14}  {output.one_line(finding.words)}")
            for more in (finding.why, finding.todo):
                if more:
                    output.line(f"{'':25}{output.one_line(more)}")

    output.emit(
        {
            "healthy": severity != "error",
            "severity": severity,
            "findings": [asdict(finding) for finding in findings],
        },
        as_json=as_json,
        text=text,
    )
    if severity == "error":
        raise typer.Exit(_ERROR)
    if severity == "warning" and strict:
        raise typer.Exit(_WARNING)
