"""Delivery: from a claimed task to the server's last word, and the record of it."""
