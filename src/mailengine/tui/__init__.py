"""The terminal dashboard: what the operator sees and does over SSH."""
