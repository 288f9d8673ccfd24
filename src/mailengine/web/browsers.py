"""A browser by the name that its owner would give it: "Firefox on Linux" for the list of sessions.

Every browser claims to be its ancestors too (RFC 9110, section 10.1.5, has no grammar for what they put into the
comments), so the order is the rule: the first name that is found is the browser's own. Versions are left out: they
are frozen or made up by now. For people only: nothing is decided by it.
"""

_BROWSERS = (
    ("Edg", "Edge"),  # Edg, EdgA, EdgiOS
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("BSD", "BSD"),
    ("Linux", "Linux"),
)


def browser_name(agent: str) -> str:
    """What is known of the User-Agent header; one of which nothing is known as it came, cut short."""
    found = [next((name for sign, name in table if sign in agent), "") for table in (_BROWSERS, _SYSTEMS)]
    return " on ".join(filter(None, found)) or agent[:40] or "Unknown"
