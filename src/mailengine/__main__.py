"""`python -m mailengine` is the command `mailengine`."""

from mailengine.cli.main import run

run()
