"""The organisation behind a domain's mail hosts, so that limits count per receiver and not per domain.

A company's domain whose MX is Google's is Google's to throttle. The group comes from the name of the most
preferred host: by the table where a provider receives under several names or under one that says nothing,
else the host's registrable domain.
"""

import re
from collections.abc import Mapping

# Suffixes of MX host names, as the providers document them or publish them for their own domains.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "google": ("google.com", "googlemail.com"),
    "microsoft": ("outlook.com", "hotmail.com", "mx.microsoft", "office365.us", "outlook.cn"),
    "yahoo": ("yahoodns.net", "yahoo.com", "aol.com"),
    "apple": ("icloud.com", "apple.com", "me.com"),
    "gmx": ("gmx.net", "gmx.com", "web.de", "mail.com"),
    "ionos": ("kundenserver.de", "ionos.com", "ionos.de", "1and1.com", "1und1.de", "perfora.net"),
    "telekom": ("t-online.de", "telekom.de"),
    "orange": ("orange.fr", "wanadoo.fr"),
    "free": ("free.fr", "proxad.net"),
    "laposte": ("laposte.net",),
    "libero": ("libero.it", "iol.it", "virgilio.it"),
    "yandex": ("yandex.net", "yandex.ru", "yandex.com"),
    "mailru": ("mail.ru", "bk.ru"),
    "tencent": ("qq.com", "exmail.qq.com"),
    "netease": ("netease.com", "163.com", "126.com"),
    "zoho": ("zoho.com", "zoho.eu", "zoho.in", "zohomail.com"),
    "proton": ("protonmail.ch", "proton.me"),
    "fastmail": ("messagingengine.com",),
    "amazon": ("amazonaws.com", "awsapps.com"),
    "cloudflare": ("mx.cloudflare.net",),
    "comcast": ("comcast.net",),
    "godaddy": ("secureserver.net",),
    "rackspace": ("emailsrvr.com",),
    "namecheap": ("registrar-servers.com", "privateemail.com"),
    "ovh": ("ovh.net", "ovh.com", "ovh.ca"),
    "proofpoint": ("pphosted.com", "ppe-hosted.com", "gpphosted.com"),
    "mimecast": ("mimecast.com", "mimecast.co.za", "mimecast-offshore.com"),
    "barracuda": ("barracudanetworks.com", "cudamail.com"),
    "cisco": ("iphmx.com",),
    "symantec": ("messagelabs.com",),
    "trendmicro": ("trendmicro.com", "trendmicro.eu"),
}
_BY_SUFFIX = {suffix: group for group, suffixes in GROUPS.items() for suffix in suffixes}

# Under a country's two letters these labels are a registry's and not an organisation's: example.co.uk. It stands
# for the Public Suffix List where a wrong guess costs only a limit that is shared or split.
_REGISTRY_LABELS = frozenset(
    {"ac", "co", "com", "edu", "gob", "gov", "gouv", "govt", "go", "gv", "ltd", "me", "mil", "ne", "net",
     "nhs", "nom", "or", "org", "plc", "sch"}
)  # fmt: skip
_ADDRESS = re.compile(r"[\d.]+|.*:.*")


def group_of_host(name: str) -> str:
    """The group of one mail host, such as `google`, or `example.co.uk` for a host that stands for itself."""
    name = name.lower().rstrip(".")
    labels = name.split(".")
    for start in range(len(labels) - 1):
        if group := _BY_SUFFIX.get(".".join(labels[start:])):
            return group
    if _ADDRESS.fullmatch(name):
        return name
    country = len(labels) > 2 and len(labels[-1]) == 2
    return ".".join(labels[-3:] if country and labels[-2] in _REGISTRY_LABELS else labels[-2:])
