"""With which servers and in whose name a tenant sends: relays, sending domains, their DKIM keys and DNS."""
