"""What every screen shows above its own matter: who works, how fast, and what holds all sending.

Asked once a second whatever is on the screen, so each question is a few rows by an index; the speed of the last
minutes is kept here, where no change of screen forgets it.
"""

from collections import deque
from dataclasses import dataclass, field

from mailengine.core.errors import MailengineError
from mailengine.core.serving import Serving, serving_here
from mailengine.domain.delivery import kill_switch
from mailengine.domain.reports.liveness import scheduler_runs, sending_machines
from mailengine.domain.reports.queue import handled
from mailengine.domain.reports.speed import Speed
from mailengine.models import KillSwitch
from mailengine.tui.source.desk import Desk, whole

SAMPLES = 120  # seconds of speed that are kept
_STEADY_SECONDS = 3.0  # the speed now is that of so long


@dataclass(frozen=True, slots=True)
class Condition:
    """`machines` send; `switch` is the one that holds the tenant that is looked at, the installation's first."""

    serving: Serving | None = None
    scheduler: bool = False
    machines: int = 0
    switch: KillSwitch | None = None

    @property
    def lives(self) -> bool:
        """Whether any daemon of the installation works, here or elsewhere."""
        return self.serving is not None or self.scheduler or self.machines > 0

    @property
    def of_all(self) -> bool:
        """Whether the switch holds the whole installation."""
        return self.switch is not None and self.switch.key == 0


@dataclass(slots=True)
class Beat:
    """`look` is called once a second; `trouble` is why the last one failed, empty when it did not."""

    desk: Desk
    condition: Condition = field(default_factory=Condition)
    trouble: str = ""
    rate: float | None = None
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    _speed: Speed = field(default_factory=lambda: Speed(_STEADY_SECONDS))

    @whole
    async def look(self) -> None:
        """Ask anew; what cannot be asked is said in `trouble`, and what was known stays."""
        try:
            await self._ask()
        except MailengineError as error:
            self.trouble = str(error)
            self.rate = None
        else:
            self.trouble = ""
            if self.rate is not None:
                self.rates.append(self.rate)

    async def _ask(self) -> None:
        desk, now = self.desk, self.desk.now()
        async with desk.rt.db.read(desk.instance) as tx:
            switches = await kill_switch.state(tx, desk.instance)
            self.condition = Condition(
                serving=serving_here(desk.rt.settings.data_dir),
                scheduler=await scheduler_runs(tx, desk.instance, now=now),
                machines=await sending_machines(tx, desk.instance, now=now),
                switch=switches.instance or switches.tenants.get(desk.scope.tenant_id),
            )
            self.rate = self._speed.note(await handled(tx, desk.instance), now)
