"""`mailengine daemon`: serve, schedule and send until it is told to stop."""

from typing import Annotated, Any

import typer

from mailengine.cli.session import run_async, settings_of

# The daemon loads inside the function: `--help` must stay quick.


def daemon(
    ctx: typer.Context,
    role: Annotated[
        str, typer.Option(help="What this process does, comma-separated.")
    ] = "web,tracker,worker,scheduler",
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.")] = None,
    with_stdin: Annotated[
        bool, typer.Option(hidden=True, help="End when standard input closes: for a program that starts it.")
    ] = False,
) -> None:
    """Run the daemon: web pages and tracking, the scheduler, and the processes that send.

    Ctrl-C or SIGTERM ends it when what is on the wire is answered; a second one ends it at once.
    """
    from mailengine.daemon.nursery import nursery
    from mailengine.daemon.roles import roles_of

    roles = roles_of(role)
    given: dict[str, Any] = {"host": host, "port": port}
    web = {name: value for name, value in given.items() if value is not None}
    settings = settings_of(ctx, web=web or None)
    with nursery() as born:  # before the imports: it does its own beside them
        from mailengine.daemon.main import serve

        run_async(serve(settings, roles, born, with_stdin=with_stdin))
