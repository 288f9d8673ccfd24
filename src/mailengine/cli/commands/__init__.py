"""The commands, a file per noun; each registers on the app of `cli.main`.

Modules here import only typer, cli.output and cli.session at the top: `mailengine --help` must not pay for
the database or the web. What a command needs is imported inside it.
"""
