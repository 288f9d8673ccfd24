"""Names, subjects and servers' words come from others: no control character of theirs reaches a terminal, where an
escape sequence could hide a line, fake another or type a command.
"""

import re

# C0 but tab and line feed, DEL, C1 (0x9B alone starts a sequence), line separators, and bytes of no encoding.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def visible(text: str) -> str:
    """Control characters as JSON and Python write them: `\\u001b`."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """`visible`, line breaks included: a name must not fake a second line."""
    return visible(text).replace("\n", "\\n").replace("\t", " ")
