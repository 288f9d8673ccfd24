"""What a person should look at although it is no mistake: domains that are one letter off a large provider's, and
addresses of a role instead of a person. They are flagged, never changed: gmial.com may be somebody's own."""

from functools import lru_cache


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Typed wrong most often, and owned by squatters or nobody.
_PROVIDERS = (
    "gmail.com", "googlemail.com", "yahoo.com", "hotmail.com", "outlook.com", "icloud.com", "aol.com", "live.com",
    "msn.com", "gmx.de", "gmx.net", "web.de", "t-online.de", "yahoo.de", "hotmail.de", "yahoo.co.uk", "hotmail.co.uk",
    "hotmail.fr", "yahoo.fr", "orange.fr", "laposte.net", "wanadoo.fr", "libero.it", "mail.ru", "yandex.ru",
    "protonmail.com", "comcast.net", "verizon.net", "bluewin.ch",
)  # fmt: skip
# Real providers that are one letter off another one.
_REAL = _words("""
    mail.com gmx.com gmx.at gmx.ch gmx.fr gmx.us ymail.com email.com live.de live.fr live.it live.nl
    live.ca aim.com yahoo.es yahoo.it yahoo.in yahoo.ca hotmail.it hotmail.es hotmail.nl hotmail.ch
    hotmail.be hotmail.se yandex.com yandex.by yandex.ua yandex.kz outlook.de outlook.fr outlook.es
    outlook.it aol.de aol.fr ya.ru love.com proton.me web.com me.com live.be live.se live.at live.dk
    live.no live.cn hotmail.no hotmail.dk hotmail.gr hotmail.cz
""")
_ROLES = _words("""
    abuse admin administrator billing careers contact desk feedback finance ftp hello help helpdesk
    hostmaster hr info invoice jobs kontakt legal list mail mailer-daemon marketing media news newsletter
    no-reply noc noreply office orders postmaster press privacy recruiting register registrar reply root
    sales security service spam staff subscribe support sysadmin team undisclosed-recipients unsubscribe
    usenet uucp webmaster www buero info2
""")


def hints(email_key: str) -> list[str]:
    """`typo: gmail.com?`, `role address`; mostly nothing."""
    local, _, domain = email_key.rpartition("@")
    found = []
    if meant := meant_domain(domain):
        found.append(f"typo: {meant}?")
    if local in _ROLES:
        found.append("role address")
    return found


@lru_cache(4096)
def meant_domain(domain: str) -> str | None:
    """The large provider that the domain is one slip of the hand away from."""
    if domain in _PROVIDERS or domain in _REAL or len(domain) < 6:
        return None
    return next((provider for provider in _PROVIDERS if _one_slip(domain, provider)), None)


def _one_slip(typed: str, meant: str) -> bool:
    """One letter more, less, other, or two in the wrong order (Damerau-Levenshtein distance 1)."""
    if abs(len(typed) - len(meant)) > 1:
        return False
    start = next((n for n, pair in enumerate(zip(typed, meant, strict=False)) if pair[0] != pair[1]), None)
    if start is None:
        return typed != meant
    rest, wanted = typed[start:], meant[start:]
    swapped = len(rest) > 1 and rest[1] + rest[0] + rest[2:] == wanted
    return swapped or rest[1:] == wanted[1:] or rest[1:] == wanted or rest == wanted[1:]
