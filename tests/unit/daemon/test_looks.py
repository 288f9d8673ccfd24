"""An idle role looks less and less often, but at least every second, and is quick again once there is work."""

import pytest

from mailengine.daemon.restart import Looks


def test_looks_get_rarer_until_there_is_work() -> None:
    looks = Looks(0.2)
    assert looks.rest(busy=False) == 0.2
    idle = [looks.rest(busy=False) for _ in range(20)]
    assert idle == sorted(idle)
    assert idle[0] > 0.2
    assert idle[-1] == 1.0
    assert looks.rest(busy=True) == 0
    assert looks.rest(busy=False) == pytest.approx(0.2)
