"""What tests share besides peers."""
