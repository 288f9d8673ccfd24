"""What is done to an engine at work. Each returns whether it could be done; those of KILLS take a process's life."""

from benchmarks.chaos_stage import Mischief, Stage

_MOODS = ("drop_mail", "drop_before", "drop_unsaid", "drop_after", "defer_recipient", "defer_message")


def kill_worker(stage: Stage) -> bool:
    workers = stage.workers()
    if not workers:
        return False
    stage.chance.choice(workers).kill()
    stage.risk_connections(1)
    return True


def kill_supervisor(stage: Stage) -> bool:
    """Its workers finish what is on the wire, beside those of the next daemon."""
    stage.workers()
    stage.daemon.kill_supervisor()
    return _start_again(stage)


def kill_group(stage: Stage) -> bool:
    """Supervisor and workers at once, as a power cut would."""
    workers = stage.workers()
    stage.daemon.kill()
    stage.risk_connections(len(workers))
    return _start_again(stage)


def _start_again(stage: Stage) -> bool:
    if stage.chance.random() < 0.5:
        stage.sleep(stage.chance.random())
    stage.new_daemon()
    return True


def kill_smtp(stage: Stage) -> bool:
    stage.risk_connections(_senders(stage))
    stage.sink.kill()
    if stage.chance.random() < 0.5:
        stage.sleep(stage.chance.random())
    stage.sink.start()
    return True


def _senders(stage: Stage) -> int:
    """Workers of this and of daemons before it: all living processes but the supervisor."""
    supervisor = stage.daemon.process.pid
    return sum(process.pid != supervisor for process in stage.living())


def crash_postgres(stage: Stage) -> bool:
    """Outcomes wait for it in the workers' hands; now and then one of those dies meanwhile."""
    if stage.postgres is None:
        return False
    stage.postgres.crash()
    stage.sleep(stage.chance.random() * 2)
    if stage.chance.random() < 0.3 and kill_worker(stage):
        stage.counts["kill worker"] += 1
        stage.sleep(stage.chance.random())
    stage.postgres.start()
    return True


def change_mood(stage: Stage) -> bool:
    """The server drops connections and says 4xx for a while."""
    chosen = stage.chance.sample(_MOODS, 2)
    stage.sink.feel(**{name: stage.chance.choice((0.002, 0.01)) for name in chosen})
    stage.sleep(stage.chance.random() * 1.5)
    stage.sink.feel()
    return True


def suspend_worker(stage: Stage) -> bool:
    """It goes on later, also when its supervisor has died meanwhile."""
    workers = stage.workers()
    if not workers:
        return False
    stage.suspend(stage.chance.choice(workers), 0.2 + stage.chance.random() * 4)
    return True


def pause(stage: Stage) -> bool:
    """A pause, and after a while on with it."""
    if not stage.command("campaign", "pause", "Spring"):
        return False
    stage.sleep(stage.chance.random())
    return stage.command("campaign", "resume", "Spring")


def switch_off(stage: Stage) -> bool:
    """The kill switch of the installation, on and after a while off."""
    if not stage.command("kill-switch", "on", "--reason", "chaos"):
        return False
    stage.sleep(stage.chance.random())
    return stage.command("kill-switch", "off")


def drain(stage: Stage) -> bool:
    """SIGTERM: nothing on the wire is lost, nothing is left."""
    stage.wake(everybody=True)
    stage.ensure_daemon()
    code = stage.daemon.end()
    if code not in (0, -15):  # a signal before its handlers are set ends it at once, with nothing begun
        stage.counts[f"drain ended with {code}"] += 1
    stage.replace_daemon()
    return True


KILLS: dict[str, tuple[Mischief, int]] = {
    "kill worker": (kill_worker, 6),
    "kill daemon and workers": (kill_group, 3),
    "kill supervisor": (kill_supervisor, 2),
    "kill smtp server": (kill_smtp, 4),
    "crash postgresql": (crash_postgres, 4),
}
DISTURBANCES: dict[str, tuple[Mischief, int]] = {
    "smtp drops and 4xx": (change_mood, 3),
    "suspend worker": (suspend_worker, 3),
    "pause and resume": (pause, 1),
    "kill switch on and off": (switch_off, 1),
    "drain": (drain, 1),
}
