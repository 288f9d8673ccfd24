"""Header fields as bytes: folded (RFC 5322 2.2.3), encoded (RFC 2047), impossible to inject into.

Invariants: a result is exactly one field, ends in its only CRLF that is not followed by white space,
and has no line over 998 octets; a line with an encoded word has at most 76 (RFC 2047 section 2).
Control characters in a value become a space, because one contact's odd name must not stop a campaign;
what a person configures goes through `check_header_value` first, which refuses them.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache

from mailengine.core.errors import InvalidInput
from mailengine.mail.address import Address, parse_address

MAX_LINE = 78
_MAX_ENCODED_LINE = 76
_MAX_ENCODED_WORD = 75
# A word that cannot be folded may be as long as RFC 5322 2.1.1 lets a line be, with room for the name.
_MAX_RAW_WORD = 900
_WRAPPER = len("=?utf-8?q??=")

# C0, DEL, C1 and the Unicode line separators: each ends a line for some parser (header injection).
# Lone surrogates have no UTF-8 form.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,60}")  # RFC 5322 2.2: printable, no colon
_PLAIN = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_WORDS = re.compile(r" *[^ ]+")
# RFC 2047 5 (3): the only characters that may stand for themselves in a Q word inside a phrase.
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q_SHORT = bytes(_Q_SAFE) + b" "  # one character each in a Q word, all others three
_Q = [chr(b) if b in _Q_SAFE else "_" if b == 0x20 else f"={b:02X}" for b in range(256)]


class HeaderError(InvalidInput):
    """A header name or value that cannot be sent as it is."""


def check_header_value(value: str) -> str:
    """`value` itself, for what a person configures; `HeaderError` if it could break out of its line."""
    found = _UNSAFE.search(value)
    if found is not None:
        raise HeaderError(
            f"the header value {value[:60]!r} contains U+{ord(found[0]):04X} at position {found.start() + 1}: "
            "remove line breaks and control characters"
        )
    return value


def encode_unstructured(name: str, value: str) -> bytes:
    """`Name: value` CRLF for free text such as Subject."""
    return _kept(name, value) if len(value) <= _SHORT_CHARS else _unstructured(name, value)


def _unstructured(name: str, value: str) -> bytes:
    prefix = _prefix(name)
    clean = _UNSAFE.sub(" ", value).strip(" ")
    if _is_raw(clean):
        return (_folded_words(prefix, clean) + "\r\n").encode("ascii")
    return (prefix + _encoded_words(clean, len(prefix)) + "\r\n").encode("ascii")


# A subject with a first name in it repeats from recipient to recipient. Long ones are not kept: a loop over an
# attribute may make a subject of megabytes, another one for each recipient.
_SHORT_CHARS = 200
_kept = lru_cache(1024)(_unstructured)


def encode_structured(name: str, value: str) -> bytes:
    """`Name: value` CRLF for tokens, URIs and ids, where encoded words mean nothing: ASCII only.

    Folds only at spaces; used for List-Unsubscribe, Feedback-ID and their like.
    """
    clean = _UNSAFE.sub(" ", value).strip(" ")
    if not clean.isascii() or max(map(len, clean.split(" "))) > _MAX_RAW_WORD:
        raise HeaderError(
            f"{name}: {clean[:60]!r} must be ASCII with no word over {_MAX_RAW_WORD} characters"
        )
    return (_folded_words(_prefix(name), clean) + "\r\n").encode("ascii")


def encode_mailbox_header(name: str, display_name: str, addr_spec: str) -> bytes:
    """`Name: Display <local@domain>` CRLF; UTF-8 (RFC 6532) only where the local part needs it.

    Raises `AddressError` when `addr_spec` is no address.
    """
    return mailbox_header(name, display_name, parse_address(addr_spec))


def mailbox_header(name: str, display_name: str, address: Address) -> bytes:
    """The same for an address that was parsed already."""
    written = address.email if address.needs_smtputf8 else address.envelope
    return _phrase_field(_prefix(name), display_name, written)


def encode_list_id(display_name: str, list_id: str) -> bytes:
    """`List-Id: Display <list.example.org>` CRLF (RFC 2919 section 3)."""
    if not _ATOMS.fullmatch(list_id.replace(".", "-")):
        raise HeaderError(
            f"the list id {list_id[:60]!r} must look like a domain name: no spaces, no brackets"
        )
    return _phrase_field(_prefix("List-Id"), display_name, list_id, always_brackets=True)


def _phrase_field(prefix: str, display_name: str, inner: str, *, always_brackets: bool = False) -> bytes:
    used = len(prefix)
    if used + len(display_name) <= _MAX_ENCODED_LINE and _is_atoms(display_name):
        phrase = display_name
    else:
        phrase = _phrase(display_name, used)
    if not phrase:
        return f"{prefix}<{inner}>\r\n".encode() if always_brackets else f"{prefix}{inner}\r\n".encode()
    last_line = phrase[phrase.rfind("\n") + 1 :]
    used = len(last_line) + (len(prefix) if last_line is phrase else 0)
    # The line may hold an encoded word, so the stricter limit is used for all.
    gap = " " if used + len(inner) + 3 <= _MAX_ENCODED_LINE else "\r\n "
    return f"{prefix}{phrase}{gap}<{inner}>\r\n".encode()


@lru_cache(4096)  # names repeat; one takes longer to encode than all the rest of its line
def _phrase(display_name: str, used: int) -> str:
    """RFC 5322 3.2.5: atoms as they are, other short ASCII quoted, the rest as encoded words."""
    clean = " ".join(filter(None, _UNSAFE.sub(" ", display_name).split(" ")))
    if not clean.isascii() or "=?" in clean:
        return _encoded_words(clean, used)
    phrase = clean if _is_atoms(clean) else _quoted(clean)
    return phrase if used + len(phrase) <= _MAX_ENCODED_LINE else _encoded_words(clean, used)


def _is_atoms(text: str) -> bool:
    """Whether it is a phrase as it stands; "=?" would be taken for an encoded word (RFC 2047)."""
    return _ATOMS.fullmatch(text) is not None and "=?" not in text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if text else ""


@lru_cache(256)
def _prefix(name: str) -> str:
    if not _FIELD_NAME.fullmatch(name):
        raise HeaderError(f"{name[:60]!r} is no header name: use printable ASCII without spaces and colons")
    return f"{name}: "


def _is_raw(clean: str) -> bool:
    """Whether readers will see `clean` just as it is without encoding."""
    if not clean:
        return True
    if not _PLAIN.fullmatch(clean) or "=?" in clean:
        return False
    return len(clean) <= _MAX_RAW_WORD or max(map(len, _WORDS.findall(clean))) <= _MAX_RAW_WORD


def _folded_words(prefix: str, text: str) -> str:
    """Line breaks go before runs of spaces, so that unfolding (RFC 5322 2.2.3) restores the text."""
    line = prefix + text
    if len(line) <= MAX_LINE:
        return line
    lines, line = [], prefix
    for word in _WORDS.findall(text):
        if len(line) + len(word) > MAX_LINE and line is not prefix:
            lines.append(line)
            line = word
        else:
            line += word
    return "\r\n".join([*lines, line])


def _encoded_words(text: str, used: int) -> str:
    """Encoded words on as many lines as needed, B or Q by which is shorter; `used` = columns taken."""
    data = text.encode("utf-8")
    q_size = len(data) + 2 * len(data.translate(None, _Q_SHORT))
    b_is_shorter = q_size > (len(data) + 2) // 3 * 4
    if not b_is_shorter and q_size <= _room(used):  # a name, the usual case: one word
        return f"=?utf-8?q?{''.join([_Q[byte] for byte in data])}?="
    chunks = _b_chunks(data, used) if b_is_shorter else _q_chunks(text, used)
    return "\r\n ".join(chunks)


def _room(used: int) -> int:
    """Encoded characters that fit in a word when `used` columns of its line are taken."""
    return max(min(_MAX_ENCODED_LINE - used, _MAX_ENCODED_WORD) - _WRAPPER, 16)


def _b_chunks(data: bytes, used: int) -> Iterator[str]:
    start = 0
    while start < len(data):
        end = min(start + _room(used) // 4 * 3, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:  # RFC 2047 5: never inside a character
            end -= 1
        yield f"=?utf-8?b?{b64encode(data[start:end]).decode('ascii')}?="
        start, used = end, 1


def _q_chunks(text: str, used: int) -> Iterator[str]:
    word, room = "", _room(used)
    for char in text:
        encoded = "".join([_Q[byte] for byte in char.encode("utf-8")])
        if len(word) + len(encoded) > room:
            yield f"=?utf-8?q?{word}?="
            word, room = "", _room(1)
        word += encoded
    yield f"=?utf-8?q?{word}?="
