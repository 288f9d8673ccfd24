"""One verdict of the examination, as a value."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`why` says what depends on it and `todo` what to do; both are empty where nothing is wrong."""

    name: str
    level: Level
    words: str
    todo: str = ""
    why: str = ""


def worst(findings: list[Finding]) -> Level:
    order: tuple[Level, ...] = ("error", "warning")
    return next((level for level in order if any(each.level == level for each in findings)), "ok")
