"""Every table, a file per domain, shape only: no rule lives here.

Table classes do not validate: values are checked at the edge and constrained in the database.
"""

from mailengine.models.accounts import (
    AccountToken,
    ApiKey,
    AuditEntry,
    AuthLimit,
    Identity,
    Installation,
    Invitation,
    Membership,
    RecoveryCode,
    Role,
    Tenant,
    TokenKind,
    User,
    WebSession,
)
from mailengine.models.base import metadata
from mailengine.models.campaigns import Campaign, CampaignState, CampaignTotals
from mailengine.models.chores import ChoreRun
from mailengine.models.contacts import (
    Attribute,
    Contact,
    ContactList,
    ContactState,
    ListMember,
    MemberState,
    Suppression,
    SuppressionKind,
)
from mailengine.models.content import Block, Snapshot, Template, TemplateVersion
from mailengine.models.delivery import OPEN_TASKS, DeadLetter, EmailTask, KillSwitch, Lease, TaskStatus
from mailengine.models.jobs import Job, JobKind, JobState
from mailengine.models.limits import (
    Bucket,
    Limit,
    LimitScope,
    Period,
    QuietHours,
    Reputation,
    Standing,
    WarmUp,
    WarmUpScope,
)
from mailengine.models.senders import DkimKey, Relay, RelayKind, SendingDomain, Tls
from mailengine.models.tags import ContactTag, Tag
from mailengine.models.tracking import EmailEvent, EventKind

__all__ = [
    "OPEN_TASKS",
    "AccountToken",
    "ApiKey",
    "Attribute",
    "AuditEntry",
    "AuthLimit",
    "Block",
    "Bucket",
    "Campaign",
    "CampaignState",
    "CampaignTotals",
    "ChoreRun",
    "Contact",
    "ContactList",
    "ContactState",
    "ContactTag",
    "DeadLetter",
    "DkimKey",
    "EmailEvent",
    "EmailTask",
    "EventKind",
    "Identity",
    "Installation",
    "Invitation",
    "Job",
    "JobKind",
    "JobState",
    "KillSwitch",
    "Lease",
    "Limit",
    "LimitScope",
    "ListMember",
    "MemberState",
    "Membership",
    "Period",
    "QuietHours",
    "RecoveryCode",
    "Relay",
    "RelayKind",
    "Reputation",
    "Role",
    "SendingDomain",
    "Snapshot",
    "Standing",
    "Suppression",
    "SuppressionKind",
    "Tag",
    "TaskStatus",
    "Template",
    "TemplateVersion",
    "Tenant",
    "Tls",
    "TokenKind",
    "User",
    "WarmUp",
    "WarmUpScope",
    "WebSession",
    "metadata",
]
