"""Shared blocks: `{% include "footer" %}` is replaced by the block's source before anything is compiled.

Invariants: resolving ends, whatever includes what, and the result is never longer than MAX_SOURCE_CHARS.
"""

import difflib
import re
from collections.abc import Collection, Mapping

from mailengine.core.errors import InvalidInput

MAX_SOURCE_CHARS = 2_000_000
MAX_BLOCK_DEPTH = 5
_INCLUDE = re.compile(r"""\{%[-+]?\s*include\s+(?:"([^"{}%]+)"|'([^'{}%]+)')\s*[-+]?%\}""")


def nearest(name: str | None, known: Collection[str]) -> str | None:
    """The known name that a person most likely meant, if one is near."""
    if name is None or len(name) > 100:
        return None
    close = difflib.get_close_matches(name.lower(), list(known)[:2_000], n=1, cutoff=0.6)
    return close[0] if close else None


def resolve_blocks(source: str, blocks: Mapping[str, str]) -> str:
    """Replace every `{% include "name" %}` by the shared block of that name, blocks in blocks included.

    Raises InvalidInput for a block that is unknown, contains itself, nests too deeply or grows the source
    above MAX_SOURCE_CHARS (ten blocks that include each ten others are a bomb).
    """
    return _Blocks(blocks).resolve(source, ())


class _Blocks:
    def __init__(self, blocks: Mapping[str, str]) -> None:
        self._blocks = blocks
        self._inserted_chars = 0

    def resolve(self, source: str, path: tuple[str, ...]) -> str:
        def insert(match: re.Match[str]) -> str:
            line = source.count("\n", 0, match.start()) + 1
            return self._block((match[1] or match[2]).strip(), line, path)

        return _INCLUDE.sub(insert, source)

    def _block(self, name: str, line: int, path: tuple[str, ...]) -> str:
        where = f'line {line} of shared block "{path[-1]}"' if path else f"line {line}"
        if name not in self._blocks:
            hint = nearest(name, self._blocks.keys())
            raise InvalidInput(
                f'{where}: unknown shared block "{name}"' + (f' (did you mean "{hint}"?)' if hint else "")
            )
        if name in path:
            raise InvalidInput(
                f'{where}: shared block "{name}" includes itself ({" → ".join((*path, name))})'
            )
        if len(path) >= MAX_BLOCK_DEPTH:
            raise InvalidInput(f"{where}: shared blocks are nested more than {MAX_BLOCK_DEPTH} deep")
        self._inserted_chars += len(self._blocks[name])
        if self._inserted_chars > MAX_SOURCE_CHARS:
            raise InvalidInput(
                f"{where}: shared blocks make the source longer than {MAX_SOURCE_CHARS} characters"
            )
        return self.resolve(self._blocks[name], (*path, name))
