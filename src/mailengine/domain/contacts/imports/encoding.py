"""Which encoding a file has: its mark, the pattern of its zero bytes, or the likeliest of the old ones."""

import codecs
import re
from collections import Counter
from dataclasses import dataclass

from mailengine.core.errors import InvalidInput

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What mail programs and spreadsheets write; others (EBCDIC, DOS code pages …) only by --encoding.
_CANDIDATES = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp932", "euc_jp",
    "gb18030", "big5", "cp949", "koi8_r", "mac_roman",
]  # fmt: skip
_FALLBACK = "cp1252"
_LATIN = frozenset({"cp1252", "cp1250", "cp1254", "cp1257", "mac_roman"})
# NUL (no database stores it), what a decoder could not decode (see Decoding.errors), half a surrogate pair.
UNDECODED = re.compile("[\x00\ud800-\udfff\ufffd]")
_SHORT_SAMPLE_BYTES = 32  # too few bytes that are not ASCII to tell the language


@dataclass(frozen=True, slots=True)
class Decoding:
    """A codec of Python's; `clean` when all of the file is known to decode and to hold no NUL."""

    codec: str
    clean: bool = False

    @property
    def wide(self) -> bool:
        return self.codec.startswith(("utf-16", "utf-32"))

    @property
    def is_utf8(self) -> bool:
        return self.codec.startswith("utf-8")

    @property
    def errors(self) -> str:
        """How bytes that do not decode are marked, so that their row can be rejected.

        surrogateescape cannot mark what the wide codecs refuse (bytes below 0x80); they give U+FFFD.
        """
        if self.clean:
            return "strict"
        return "replace" if self.wide else "surrogateescape"

    @property
    def label(self) -> str:
        """The name that people know."""
        return {"utf-8-sig": "UTF-8 with BOM", "cp1252": "Windows-1252"}.get(self.codec, self.codec.upper())


def check_declared(name: str) -> Decoding:
    """The encoding that a person named; raises InvalidInput when there is none such."""
    try:
        info = codecs.lookup(name)
        "".encode(info.name)  # codecs such as zip are no text encodings
    except (LookupError, ValueError) as error:
        raise InvalidInput(
            f"{name!r} is not an encoding that is known; try utf-8, utf-16 or windows-1252"
        ) from error
    return Decoding("utf-8-sig" if info.name == "utf-8" else info.name)


def guess_head(head: bytes) -> Decoding | None:
    """The encoding that the first bytes prove, None when they prove none."""
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return Decoding(codec)
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd * 4 > len(head) and even * 8 < odd:  # Latin text in UTF-16 has a zero in every second byte
        return Decoding("utf-16-le")
    if even * 4 > len(head) and odd * 8 < even:
        return Decoding("utf-16-be")
    return None


def guess_bytewise(sample: bytes) -> Decoding:
    """The likeliest encoding of lines that are not UTF-8."""
    from charset_normalizer import from_bytes  # 60 ms to import, and most files are UTF-8

    best = from_bytes(sample, cp_isolation=_CANDIDATES, threshold=0.5).best()
    codec = best.encoding if best is not None else _FALLBACK
    high = len(sample.translate(None, bytes(range(128))))
    if codec in _LATIN or (high < _SHORT_SAMPLE_BYTES and _decodes(sample, _FALLBACK)):
        return Decoding(_latin(sample))
    return Decoding(codec)


def _latin(sample: bytes) -> str:
    """Western, Central European or Turkish? Read as Western, the other two show letters that do not go
    together: a library that looks for one language mistakes a list of names from many countries."""
    letters = Counter(letter for letter in sample.decode(_FALLBACK, "replace") if ord(letter) > 127)
    total = letters.total() or 1

    def share(some: str) -> float:
        return sum(letters[letter] for letter in some) / total

    polish = share("³¹¿¯£¥Ÿ\x8f\ufffd")
    czech = share("šžŠŽ") and share("ìøèòïùý")
    hungarian = share("õûÕÛ") if not share("ãçêñ") else 0
    if polish > 0.05 or czech > 0.2 or hungarian > 0.03:
        return "cp1250"
    turkish = (
        share("ðýþÐÝÞ") if share("çöüğÇÖÜ") and not share("æáúÁ") else 0
    )  # Icelandic has these with æ, á
    return "cp1254" if turkish > 0.1 else _FALLBACK


def _decodes(sample: bytes, codec: str) -> bool:
    try:
        sample.decode(codec)
    except UnicodeDecodeError:
        return False
    return True
