"""What is on the wire, written where `kill -9` cannot take it: a memory-mapped file per claim batch.

Marking a message costs a byte written to shared memory (a fraction of a microsecond); the kernel keeps the
page when the process dies. The owner holds a lock on the file for as long as it lives, so that whoever finds
the file unlocked knows that the owner is dead, at once and without a time-out.

Life of a batch: the file is made, with room for the whole claim → the claim commits → the tasks' ids are written →
messages leave → outcomes commit → the file is removed. So a claimed task of this machine

* whose file names nothing was never on the wire,
* whose slot says REST was not on the wire, ON_WIRE is in doubt, ACCEPTED was accepted,
* whose file is missing or damaged, or older than the last boot (pages may not have reached the disk), cannot be
  known, unless its slot can be read and says ACCEPTED.

Format: magic | count (uint64) | count × task id (uint64) | count × slot (128 bytes: state, length, words) | zeros.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from mailengine.core.errors import Unavailable

_MAGIC = b"MEwire01"
_HEADER = struct.Struct("<8sQ")
_SLOT_BYTES = 128
_WORDS_BYTES = _SLOT_BYTES - 2
_SUFFIX = ".wire"


class WireState(IntEnum):
    REST = 0
    ON_WIRE = 1
    ACCEPTED = 2
    REFUSED = 3  # the server answered no: nothing was delivered


_STATES = frozenset(WireState)


@dataclass(frozen=True, slots=True)
class WireRecord:
    """What the file knows of one task; `words` is the server's reply, cut to 126 bytes."""

    task_id: int
    state: WireState
    words: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a file says, empty when its tasks were never named: then none was on the wire.

    Where it is not `intact`, only what was accepted is known; everything else of the claim may have been on the wire.
    """

    records: list[WireRecord]
    intact: bool


def boot_id() -> str:
    """Changes with every start of the machine; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return ""


class WireJournal:
    """One claim batch's evidence, owned by this process until `remove`."""

    def __init__(self, folder: Path, claim_token: str, *, room: int) -> None:
        """Make and lock the file of a claim of at most `room` tasks; raises Unavailable when the disk has no room.

        It is written through, not made sparse: a page of a mapped file for which the disk has no block kills whoever
        writes to it (SIGBUS), with messages on the wire.
        """
        self.path = folder / f"{claim_token}{_SUFFIX}"
        empty = _HEADER.pack(_MAGIC, 0).ljust(_HEADER.size + (8 + _SLOT_BYTES) * room, b"\0")
        try:
            self._fd = _locked_file(folder / f"{claim_token}.new", self.path, empty)
        except FileExistsError:
            raise
        except OSError as error:
            raise Unavailable(
                f"{folder} cannot be written: {error.strerror}; nothing more is claimed until it can"
            ) from error
        self._map = mmap.mmap(self._fd, len(empty))
        self._first_slot = 0

    def fill(self, task_ids: Sequence[int]) -> None:
        """Name the tasks; from here on slot i belongs to task_ids[i]."""
        count = len(task_ids)
        self._first_slot = _HEADER.size + 8 * count
        struct.pack_into(f"<{count}Q", self._map, _HEADER.size, *task_ids)
        _HEADER.pack_into(self._map, 0, _MAGIC, count)  # last: until then the file names nothing

    def on_wire(self, slot: int) -> None:
        self._map[self._first_slot + slot * _SLOT_BYTES] = WireState.ON_WIRE

    def accepted(self, slot: int, words: str) -> None:
        self._settle(slot, WireState.ACCEPTED, words)

    def refused(self, slot: int) -> None:
        self._settle(slot, WireState.REFUSED, "")

    def remove(self) -> None:
        """The outcomes are in the database: the evidence is not needed any more."""
        self.path.unlink(missing_ok=True)
        self.abandon()

    def abandon(self) -> None:
        """Let go of the file, for recovery to settle: nobody knows whether the claim committed."""
        self._map.close()
        os.close(self._fd)

    def _settle(self, slot: int, state: WireState, words: str) -> None:
        start = self._first_slot + slot * _SLOT_BYTES
        text = words.encode("utf-8", "replace")[:_WORDS_BYTES]
        self._map[start + 1 : start + 2 + len(text)] = bytes((len(text),)) + text
        self._map[start] = state  # last: the words are complete once the state says so


class AbandonedJournal:
    """A journal whose owner is dead; locked by this process until `close`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.claim_token = path.name.removesuffix(_SUFFIX)
        self._fd = fd

    def read(self) -> Evidence:
        content = self.path.read_bytes()
        if len(content) < _HEADER.size:
            return Evidence([], intact=False)
        magic, count = _HEADER.unpack_from(content)
        first_slot = _HEADER.size + 8 * count
        if magic != _MAGIC or len(content) < first_slot:
            return Evidence([], intact=False)
        ids = struct.unpack_from(f"<{count}Q", content, _HEADER.size)
        records = [
            _record(task_id, content[first_slot + i * _SLOT_BYTES : first_slot + (i + 1) * _SLOT_BYTES])
            for i, task_id in enumerate(ids)
        ]
        whole = len(content) >= first_slot + count * _SLOT_BYTES and None not in records
        return Evidence([record for record in records if record is not None], intact=whole)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._fd)


def _record(task_id: int, slot: bytes) -> WireRecord | None:
    """None where the slot is cut or holds what is never written."""
    if len(slot) < 2 or len(slot) < 2 + slot[1] or slot[0] not in _STATES:
        return None
    return WireRecord(task_id, WireState(slot[0]), slot[2 : 2 + slot[1]].decode("utf-8", "replace"))


def abandoned(folder: Path) -> Iterator[AbandonedJournal]:
    """Each journal whose owner is dead, locked while the caller looks at it."""
    for draft in folder.glob("*.new"):  # died between making and naming: no claim can exist
        with suppress(OSError):
            _unlink_if_dead(draft)
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its owner finished just now
        journal = AbandonedJournal(path, fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():
                yield journal
        except BlockingIOError:
            continue  # its owner lives
        finally:
            journal.close()


def exists(folder: Path, claim_token: str) -> bool:
    return (folder / f"{claim_token}{_SUFFIX}").exists()


def _locked_file(draft: Path, path: Path, content: bytes) -> int:
    """The descriptor of a new file that had its lock and its content before its name."""
    while True:
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            _write(fd, content)
            draft.rename(path)
        except FileNotFoundError:  # recovery found it before its lock was held, and took us for dead
            os.close(fd)
        except BaseException:
            draft.unlink(missing_ok=True)
            os.close(fd)
            raise
        else:
            return fd


def _write(fd: int, content: bytes) -> None:
    written = 0
    while written < len(content):  # the disk may take a part, and say only then that it is full
        written += os.write(fd, content[written:])


def _unlink_if_dead(draft: Path) -> None:
    fd = os.open(draft, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink()
    finally:
        os.close(fd)
