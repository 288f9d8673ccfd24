"""The states of a campaign and the only ways between them."""

from mailengine.core.errors import Conflict
from mailengine.models import Campaign, CampaignState

_S = CampaignState

TRANSITIONS: dict[CampaignState, frozenset[CampaignState]] = {
    _S.DRAFT: frozenset({_S.SCHEDULED, _S.SENDING}),
    _S.SCHEDULED: frozenset({_S.DRAFT, _S.SENDING}),
    _S.SENDING: frozenset({_S.PAUSED, _S.CANCELLED, _S.SENT}),
    _S.PAUSED: frozenset({_S.SENDING, _S.CANCELLED, _S.SENT}),
    _S.SENT: frozenset({_S.SENDING}),  # only by `retry`: dead letters or doubts go back into its queue
    _S.CANCELLED: frozenset(),
}
DELETABLE = frozenset({_S.DRAFT, _S.SENT, _S.CANCELLED})
WAITING = frozenset({_S.DRAFT, _S.SCHEDULED})  # nothing of it is fixed yet
UNDER_WAY = frozenset({_S.SENDING, _S.PAUSED})


def move(campaign: Campaign, to: CampaignState) -> None:
    """Change the state; raises Conflict for a way that does not exist."""
    state = CampaignState(campaign.state)
    if to not in TRANSITIONS[state]:
        raise Conflict(f"campaign {campaign.name} is {state.value}; it cannot become {to.value}")
    campaign.state = to


def require_draft(campaign: Campaign) -> None:
    """Raise Conflict once the campaign was launched: its snapshot is fixed."""
    if campaign.state == CampaignState.SCHEDULED:
        raise Conflict(f"campaign {campaign.name} is scheduled and cannot be changed; unschedule it first")
    if campaign.state != CampaignState.DRAFT:
        raise Conflict(
            f"campaign {campaign.name} is {campaign.state} and cannot be changed; duplicate it instead"
        )


def require_waiting(campaign: Campaign) -> None:
    """Raise Conflict unless it can still be launched or scheduled."""
    if campaign.state not in WAITING:
        require_draft(campaign)
