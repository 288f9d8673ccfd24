"""Tokens in links, and what recipients did with them."""
