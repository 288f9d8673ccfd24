"""A whole name as first and last name, by rules that are wrong for few: names follow no grammar.

Sources: the particles and suffixes of the Chicago Manual of Style, 8.5-8.15 and 16.71-16.84; in Chinese, Japanese and
Korean script the family comes first.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TITLES = _words("""
    mr mrs ms miss mx dr prof sir dame rev hon herr frau fräulein hr fr dipl.-ing ing mag m mme mlle sr
    sra srta don doña dott sig sig.ra pan pani г-н г-жа
""")
_SUFFIXES = _words("jr sr ii iii iv phd ph.d md m.d esq mba m.a b.a jnr snr dds cpa")
# Words that begin a family name where a given name stands before them and another word behind.
_PARTICLES = _words("""
    van von vom zu zum zur de der den del della delle dello di da das do dos du des la le las los el al
    bin ibn bint ben bar ter ten te 't op af av y e st st. saint santa san mac d' l' o' abu
""")
_HAN = re.compile(r"[\u3005\u3400-\u4dbf\u4e00-\u9fff\u3041-\u30ff]+")
_HANGUL = re.compile(r"[\uac00-\ud7a3]+")
_HANGUL_PAIRS = _words("남궁 황보 제갈 사공 선우 서문 독고 동방")  # families of two syllables


def split_name(full: str) -> tuple[str, str]:
    """`Ludwig van Beethoven` as (`Ludwig`, `van Beethoven`), `Lovelace, Ada` as (`Ada`, `Lovelace`). One word is a
    first name. Chinese and Japanese names without a blank are not cut: families of two characters exist."""
    head, comma, tail = (part.strip() for part in full.partition(","))
    if comma and not all(_bare(word) in _SUFFIXES for word in tail.replace(",", " ").split()):
        first, suffixes = _without_suffixes(_without_titles(tail.replace(",", " ").split()))
        return " ".join(first), " ".join([head, *suffixes])
    words = f"{head} {tail}".replace(",", " ").split()
    if words and all(map(_is_east_asian, words)):
        return _east_asian(words)
    words, suffixes = _without_suffixes(_without_titles(words))
    first, last = _cut(words)
    return " ".join(first), " ".join([*last, *suffixes]) if last else " ".join(suffixes)


def _cut(words: list[str]) -> tuple[list[str], list[str]]:
    if len(words) < 2:
        return words, []
    # `LOVELACE Ada`, as in French forms
    shouted = [word for word in words if word.isupper() and not _is_initials(word)]
    if shouted and len(shouted) < len(words) and (words[0] in shouted or words[-1] in shouted):
        return [word for word in words if word not in shouted], shouted
    for number in range(1, len(words) - 1):
        if _bare(words[number]) in _PARTICLES and not _is_initials(words[number]):
            return words[:number], words[number:]
    return words[:-1], words[-1:]


def _is_initials(word: str) -> bool:
    """`J.`, `J.R.R.`, `J.-P.`"""
    return word.isupper() and all(len(part) <= 1 for part in re.split(r"\W", word))


def _east_asian(words: list[str]) -> tuple[str, str]:
    if len(words) > 1:
        return " ".join(words[1:]), words[0]
    word = words[0]
    if _HANGUL.fullmatch(word) and 2 <= len(word) <= 4:
        family = 2 if len(word) > 2 and word[:2] in _HANGUL_PAIRS else 1
        return word[family:], word[:family]
    return word, ""


def _is_east_asian(word: str) -> bool:
    return bool(_HAN.fullmatch(word) or _HANGUL.fullmatch(word))


def _without_titles(words: list[str]) -> list[str]:
    while len(words) > 1 and _bare(words[0]) in _TITLES:
        words = words[1:]
    return words


def _without_suffixes(words: list[str]) -> tuple[list[str], list[str]]:
    kept = len(words)
    while kept > 1 and _bare(words[kept - 1]) in _SUFFIXES:
        kept -= 1
    return words[:kept], words[kept:]


def _bare(word: str) -> str:
    return word.casefold().rstrip(".")
