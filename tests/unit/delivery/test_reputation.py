"""Verdicts on a tenant's mail, and whose turn it is, without a database."""

import pytest

from mailengine.core.ids import CampaignId, TenantId
from mailengine.domain.delivery.claim import RunningCampaign
from mailengine.domain.delivery.feeder import in_turn
from mailengine.domain.delivery.reputation import Figures
from mailengine.models import Standing


@pytest.mark.parametrize(
    ("sent", "bounces", "complaints", "standing", "fault"),
    [
        (0, 0, 0, Standing.OK, ""),
        (9, 1, 0, Standing.OK, ""),  # one bounce of ten decides nothing
        (90, 9, 0, Standing.OK, ""),
        (90, 10, 0, Standing.BAD, "bounce rate 10.0 %"),
        (0, 100, 0, Standing.BAD, "bounce rate 100.0 %"),
        (981, 19, 0, Standing.OK, ""),
        (980, 20, 0, Standing.RISKY, ""),
        (950, 50, 0, Standing.RISKY, ""),
        (939, 61, 0, Standing.BAD, "bounce rate 6.1 %"),
        (999, 0, 9, Standing.OK, ""),
        (1000, 0, 3, Standing.OK, ""),
        (1000, 0, 4, Standing.BAD, "complaint rate 0.40 %"),
    ],
)
def test_rates_count_from_a_volume_on(
    sent: int, bounces: int, complaints: int, standing: Standing, fault: str
) -> None:
    figures = Figures(sent, bounces, complaints)
    assert (figures.standing, figures.fault) == (standing, fault)


def _campaign(number: int, tenant: int) -> RunningCampaign:
    return RunningCampaign(CampaignId(number), TenantId(tenant), 1, None, ())


def test_each_tenant_is_first_in_its_turn_and_risky_ones_never_before_others() -> None:
    campaigns = [_campaign(1, 1), _campaign(2, 1), _campaign(3, 2), _campaign(4, 3)]
    firsts = {in_turn(campaigns, turn=turn, risky=frozenset())[0].tenant_id for turn in range(3)}
    assert firsts == {1, 2, 3}
    for turn in range(12):
        tenants = [campaign.tenant_id for campaign in in_turn(campaigns, turn=turn, risky={1})]
        assert sorted(tenants[:2]) == [2, 3]
        assert tenants[2:] == [1, 1]
    assert in_turn([], turn=1, risky=frozenset()) == []
