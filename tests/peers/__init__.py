"""Real peers for the tests: PostgreSQL, Postfix, SMTP sinks, a catcher and a DNS server, all on loopback.

Invariants: every peer listens on a free loopback port; a peer that is slow to start is started once for all
xdist workers and is stopped with the session, whatever happens to the session (`shared`, `keeper`).
"""
