"""Cells that a spreadsheet would run as a formula (OWASP, "CSV Injection"): made harmless in what we export, and
given back when that file is imported.

An apostrophe before them makes them text. A text that begins with an apostrophe gets one more, so that the way
back is certain; numbers such as -5 are no formulas and stay.
"""

import re

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")  # full-width forms count too
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)


def defused(cell: str) -> str:
    return "'" + cell if cell.startswith(_STARTS) and not _NUMBER.fullmatch(cell) else cell


def revived(cell: str) -> str:
    """What `defused` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_STARTS) else cell
