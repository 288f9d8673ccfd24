"""The people of a tenant: who they are, on which lists, whether they may be mailed, and how files of them
come in."""
