"""What a daemon does, a file per role; each is `async def run(rt, stop, …)` and returns soon after `stop`."""
