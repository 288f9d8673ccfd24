"""The one error tree.

A message says what is wrong, where, and what to do, in one line. Faces map classes to exit codes and
HTTP statuses in one table each; nothing below a face knows either.
"""

from math import ceil

from mailengine.core.wording import counted


class MailengineError(Exception):
    """Base of everything that mailengine raises on purpose; `str()` is the line a person reads."""


class InvalidInput(MailengineError):
    """What a person or a file gave cannot be used as it is."""


class NotFound(MailengineError):
    """There is no such thing, or it belongs to another tenant: callers cannot tell which."""


class Conflict(MailengineError):
    """The request does not fit the present state (name taken, transition not allowed)."""


class Refused(MailengineError):
    """A rule forbids the act; `reasons` lists each rule that did, one line each."""

    def __init__(self, message: str, reasons: list[str] | None = None) -> None:
        super().__init__(message)
        self.reasons = reasons or []


class TooSoon(Refused):
    """Too many of these in a short time."""

    def __init__(self, wait_seconds: float, what: str = "attempts") -> None:
        self.wait_seconds = ceil(wait_seconds)  # never too early
        super().__init__(f"too many {what}; try again in {counted(self.wait_seconds, 'second', 'seconds')}")


class Unauthorised(MailengineError):
    """Nobody is logged in, or the credential is wrong or expired."""


class Forbidden(MailengineError):
    """The actor is known but lacks the grant."""


class Unavailable(MailengineError):
    """Something outside the request fails: database locked, read-only, full, gone or newer than the code."""
