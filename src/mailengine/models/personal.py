"""What each column holds of a person: declared beside the columns as `__personal__`, read by `domain/privacy`.

Every column of text or JSON is declared; a test fails for one that is not. A table that holds something of a
contact has a column `contact_id` (or is `contacts`), or an address to find its rows by.
"""

from enum import StrEnum


class Hold(StrEnum):
    """What a column holds, and so what becomes of it when its contact is erased."""

    ADDRESS = "address"  # becomes an address that is nobody's, unique by the contact's id
    KEY = "key"  # an address's key: becomes one that no address has
    NAME = "name"  # becomes [Deleted]
    WORDS = "words"  # free text that may name the person: becomes [Deleted] where there is any
    TRACE = "trace"  # an IP address, a program's name: becomes empty
    ABSENT = "absent"  # a unique word that may name the person: becomes NULL
    DATA = "data"  # a JSON object about the person: becomes {}
    ITEMS = "items"  # a JSON array about the person: becomes []
    QUOTE = "quote"  # words about many in which an address may stand: the address alone goes
    STAFF = "staff"  # of a member of the team: goes with the user, not with a contact
    NOTHING = "nothing"  # of no person


Holdings = dict[str, Hold]


def nothing(*columns: str) -> Holdings:
    """Columns that hold nothing of any person."""
    return dict.fromkeys(columns, Hold.NOTHING)


def quoting(*columns: str) -> Holdings:
    """Columns in which somebody may have written a person's address: a segment's rule, a job's title."""
    return dict.fromkeys(columns, Hold.QUOTE)


def staff(*columns: str) -> Holdings:
    """Columns that hold something of a user of the program, and of nobody else."""
    return dict.fromkeys(columns, Hold.STAFF)
