"""What recipients and monitors reach without a login."""
