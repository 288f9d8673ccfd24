"""The command line: one file per noun in `commands/`; domain work runs in this process."""
