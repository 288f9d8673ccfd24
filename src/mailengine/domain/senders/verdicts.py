"""What a check of the DNS found, as a value."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    PASS = "pass"  # noqa: S105  # a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"  # the question could not be asked; nothing is known about the record


@dataclass(frozen=True, slots=True)
class Verdict:
    """`words` say what is wrong and what to do, or what the record allows; `found` is what was read."""

    status: Status
    words: str
    found: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"status": self.status.value, "words": self.words, "found": list(self.found)}


def passed(words: str, found: list[str]) -> Verdict:
    return Verdict(Status.PASS, words, tuple(found))


def failed(words: str, found: list[str]) -> Verdict:
    return Verdict(Status.FAIL, words, tuple(found))


def unknown(words: str) -> Verdict:
    return Verdict(Status.UNKNOWN, words)


@dataclass(frozen=True, slots=True)
class Checks:
    """The verdicts on one sending domain."""

    spf: Verdict
    dkim: Verdict
    dmarc: Verdict
    published: tuple[str, ...] = ()  # selectors whose record is the key that is stored

    @property
    def verified(self) -> bool:
        """Everything that large mailbox providers ask of a sender is in place."""
        return all(check.status is Status.PASS for check in (self.spf, self.dkim, self.dmarc))

    @property
    def failed(self) -> bool:
        return any(check.status is Status.FAIL for check in (self.spf, self.dkim, self.dmarc))

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name).as_json() for name in ("spf", "dkim", "dmarc")}
