"""Acts that are counted in the database before they are done: guesses, letters to whom nobody knows, tests of
servers. Every web process counts together."""

from mailengine.core.errors import TooSoon
from mailengine.core.scope import InstanceScope
from mailengine.domain.accounts import attempts
from mailengine.runtime import Runtime


async def count(
    rt: Runtime, instance: InstanceScope, rules: tuple[attempts.Rule, ...], *, account: str
) -> None:
    """Raises TooSoon; the act is counted whether it then succeeds or not."""
    async with rt.db.write(instance) as tx:
        wait = await attempts.take(tx, instance, rules, account=account, now=rt.clock.now())
    if wait:
        raise TooSoon(wait)


async def count_test(rt: Runtime, instance: InstanceScope, *, tenant_id: int) -> None:
    """A test of a mail server connects to whatever host somebody named (P75-04); raises TooSoon."""
    await count(rt, instance, attempts.TEST_MESSAGE, account=f"tenant:{tenant_id}")
