"""Which addresses a file has already had, in 16 to 32 bytes each whatever their length.

A set of strings takes 150 bytes an address: 1.5 GB for a file of ten million. Here an open-addressing table
holds 64-bit hashes. They are salted per process, so that nobody can construct a file of collisions; two of a
million addresses share one by chance once in 37 million files.
"""

from array import array

_MASK64 = (1 << 64) - 1


class SeenKeys:
    def __init__(self) -> None:
        self._size = 1 << 16
        self._table = array("Q", bytes(8 * self._size))
        self._count = 0

    def add(self, key: str) -> bool:
        """False when the key was there already."""
        mark = hash(key) & _MASK64 or 1  # 0 is an empty place
        table, mask = self._table, self._size - 1
        place = mark & mask
        while found := table[place]:
            if found == mark:
                return False
            place = (place + 1) & mask
        table[place] = mark
        self._count += 1
        if self._count * 2 > self._size:
            self._grow()
        return True

    def _grow(self) -> None:
        old = self._table
        self._size *= 2
        table, mask = array("Q", bytes(8 * self._size)), self._size - 1
        for mark in old:
            if mark:
                place = mark & mask
                while table[place]:
                    place = (place + 1) & mask
                table[place] = mark
        self._table = table
