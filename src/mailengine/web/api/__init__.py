"""The JSON API, version 1: a controller per domain."""
