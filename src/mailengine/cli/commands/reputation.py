"""`mailengine reputation`: what servers and recipients make of the mail."""

from typing import TYPE_CHECKING, Any

import typer

from mailengine.cli import output
from mailengine.cli.session import in_tenant

# The domain loads inside the functions: `--help` must stay quick.
if TYPE_CHECKING:
    from mailengine.core.scope import Scope
    from mailengine.runtime import Runtime


def reputation(ctx: typer.Context, as_json: output.Json = False) -> None:
    """Show the bounce and complaint rates of 30 days; over 5 % or 0.3 % sending is suspended."""
    shown = in_tenant(ctx, _look)
    output.emit(shown, as_json=as_json, text=lambda: output.fields(_worded(shown)))


async def _look(rt: "Runtime", scope: "Scope") -> dict[str, Any]:
    from mailengine.domain.delivery import kill_switch
    from mailengine.domain.delivery import reputation as rules

    async with rt.db.read(scope) as tx:
        figures = await rules.figures(tx, scope, now=rt.clock.now())
        stored = await rules.stored(tx, scope)
        switch = (await kill_switch.of_tenant(tx, scope)).tenant
    return {
        "standing": figures.standing.value,
        "lane": "lower" if rules.comes_after(stored) else "normal",
        "sent": figures.sent,
        "bounces": figures.bounces,
        "bounce_percent": round(100 * figures.bounce_rate, 2),
        "complaints": figures.complaints,
        "complaint_percent": round(100 * figures.complaint_rate, 2),
        "evaluated_at": stored.evaluated_at if stored is not None else None,
        "suspended": None if switch is None else {"reason": switch.reason, "since": switch.set_at},
    }


def _worded(shown: dict[str, Any]) -> dict[str, Any]:
    suspended = shown["suspended"]
    return {
        **{name: shown[name] for name in ("standing", "lane", "sent", "bounces", "complaints")},
        "bounce rate": f"{shown['bounce_percent']} %",
        "complaint rate": f"{shown['complaint_percent']} %",
        "evaluated at": shown["evaluated_at"],
        "suspended": None if suspended is None else suspended["reason"] or "the kill switch is on",
    }
