"""Campaigns: drafts, the checklist, launch, expansion into tasks, and the states between."""
