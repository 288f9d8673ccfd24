"""OpenID Connect as a relying party, and bearer tokens of an issuer: protocol, keys and the network, no database."""
