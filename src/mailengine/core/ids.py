"""Ids that were checked: a plain int becomes one of these only where a row was found."""

from typing import NewType

TenantId = NewType("TenantId", int)
UserId = NewType("UserId", int)
ContactId = NewType("ContactId", int)
ListId = NewType("ListId", int)
TemplateId = NewType("TemplateId", int)
CampaignId = NewType("CampaignId", int)
SnapshotId = NewType("SnapshotId", int)
TaskId = NewType("TaskId", int)
RelayId = NewType("RelayId", int)
DomainId = NewType("DomainId", int)
JobId = NewType("JobId", int)
