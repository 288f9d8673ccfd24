"""Who acts, for which tenant: the second argument of every use case.

A `Scope` is made by `accounts.auth` (a person or key) or by a role of the daemon, never by a use case. Work
across tenants takes an `InstanceScope`, a type without a tenant, so that the type checker tells them apart.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from mailengine.core.errors import Forbidden
from mailengine.core.ids import TenantId


class Grant(StrEnum):
    """What an actor may do inside a tenant."""

    READ = "read"
    EDIT = "edit"  # contacts, templates, campaign drafts
    SEND = "send"  # launch, pause, resume, cancel, kill switch
    MANAGE = "manage"  # relays, domains, settings, users, keys
    OWN = "own"  # appoint and dismiss owners


ROLE_GRANTS: dict[str, frozenset[Grant]] = {
    "owner": frozenset(Grant),
    "admin": frozenset(Grant) - {Grant.OWN},
    "editor": frozenset({Grant.READ, Grant.EDIT, Grant.SEND}),
    "viewer": frozenset({Grant.READ}),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """One tenant, seen by one actor (`user:3`, `key:7`, `cli`, `role:scheduler`)."""

    tenant_id: TenantId
    actor: str
    grants: frozenset[Grant] = field(default=frozenset(Grant))
    request_id: str = ""
    address: str = ""  # the network address that the actor acts from; the audit log keeps it

    def require(self, grant: Grant) -> None:
        """Raise Forbidden unless the actor holds `grant`."""
        if grant not in self.grants:
            raise Forbidden(f"this needs the right to {grant.value}, which {self.actor} does not have")


@dataclass(frozen=True, slots=True)
class InstanceScope:
    """The whole installation: roles of the daemon and the operator's commands."""

    actor: str
    request_id: str = ""
    address: str = ""


AnyScope = Scope | InstanceScope
