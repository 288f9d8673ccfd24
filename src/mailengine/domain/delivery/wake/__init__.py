"""Telling workers that a message was queued, so that none waits for the next look at the database.

The database is the record and is looked at whatever happens here: a bell that nobody hears, a flushed or dead Redis,
a lost wake-up costs a message up to a second, never more.
"""

from mailengine.domain.delivery.wake.bell import Bell, Listener, bell_of, listener_of

__all__ = ["Bell", "Listener", "bell_of", "listener_of"]
