"""`mailengine setup-link`: the way in where nobody can log in yet, such as a container's first start."""

import typer

from mailengine.cli import output
from mailengine.cli.session import in_instance


def setup_link(ctx: typer.Context, as_json: output.Json = False) -> None:
    """Print a fresh link that makes the organisation and its first user: once, within a day.

    Links that were shown before do nothing any more. Refused once somebody can log in.
    """
    # The daemon's part and the database load here: `--help` must stay quick.
    from mailengine.daemon.setup_link import fresh_link

    made = in_instance(ctx, fresh_link)
    output.emit({"link": made.url, "expires_at": made.expires_at}, as_json=as_json)
    if made.local:
        output.note(
            "where the daemon is reached by another name or port, put that in; the rest is what counts"
        )
