"""What a daemon does, a file per role; each is `async def run(rt, stop, …)` and returns soon after `stop`."""

from mailengine.core.errors import InvalidInput

ROLES = ("web", "tracker", "worker", "scheduler")


def roles_of(text: str) -> frozenset[str]:
    """`web,worker` as a set; raises InvalidInput for a role that does not exist."""
    roles = frozenset(part.strip() for part in text.split(",") if part.strip())
    unknown = roles - set(ROLES)
    if unknown or not roles:
        raise InvalidInput(f"--role {text}: choose from {', '.join(ROLES)}")
    return roles
