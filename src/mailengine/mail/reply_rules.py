"""The tables behind `replies.judge`: codes, enhanced codes and wordings, each to a cause.

An enhanced code (RFC 3463 and the IANA registry "SMTP Enhanced Status Codes"; class left out, so that one
row serves 4.x.x and 5.x.x) decides, except for the causes it *yields* to when the wording is clearer: many
servers send 5.7.1 or 5.1.0 for everything. Wordings are tried in order, the more telling first; being too
eager about `recipient` suppresses a living address, so policy wins over vague words such as
"mailbox unavailable". Rows for X.7.5xx and the like are Exchange Online's, outside the registry.
"""

import re
from dataclasses import dataclass
from typing import Literal

Cause = Literal[
    "recipient", "mailbox_full", "mailbox_busy", "greylisted", "rate", "policy", "content",
    "sender", "auth", "server", "network", "syntax",
]  # fmt: skip
Stage = Literal["connect", "ehlo", "auth", "mail", "rcpt", "data", "final"]


@dataclass(frozen=True, slots=True)
class Rule:
    cause: Cause
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Coded:
    """What an enhanced code says; without `rule` the basic code decides where the wording does not."""

    rule: Rule | None
    yields: frozenset[Cause] = frozenset()


ANY: frozenset[Cause] = frozenset({
    "recipient", "mailbox_full", "mailbox_busy", "greylisted", "rate", "policy", "content",
    "sender", "auth", "server",
})  # fmt: skip
OPEN = Coded(None, ANY)
_GONE = Rule("recipient", hard=True)
# A policy code never becomes a bad recipient, whatever the words: 5.7.1 "user not authorised".
_POLICY = Coded(Rule("policy"), frozenset({"greylisted", "rate", "content", "auth", "mailbox_full"}))
# Yahoo: 554 5.7.9 not accepted for policy reasons.
_AUTH = Coded(Rule("auth"), frozenset({"policy"}))
_SYNTAX, _CONTENT = Coded(Rule("syntax")), Coded(Rule("content"))
_RATE, _SENDER = Coded(Rule("rate")), Coded(Rule("sender"))
_BUSY = Rule("mailbox_busy")  # too much at once for this one mailbox: nothing is wrong with us or with it
_STRICT_POLICY = Coded(Rule("policy"))
_SERVER = Coded(Rule("server"), frozenset({"rate", "greylisted"}))
_NETWORK = Coded(Rule("network"))

_BY_DETAIL: dict[str, Coded] = {
    "1.1": Coded(_GONE, frozenset({"mailbox_full"})),  # Orange: 552 5.1.1 recipient overquota
    "1.2": Coded(_GONE),
    "1.3": Coded(_GONE),
    "1.4": Coded(Rule("recipient")),
    "1.6": Coded(_GONE),
    "1.7": _SENDER,
    "1.8": _SENDER,
    "1.10": Coded(_GONE),  # RFC 7505: null MX; Exchange: RecipientNotFound
    "1.90": _RATE,
    # Gmail: 5.2.1 also for "receiving mail at a rate"
    "2.1": Coded(_GONE, frozenset({"mailbox_busy", "rate"})),
    "2.2": Coded(Rule("mailbox_full")),
    "2.3": _CONTENT,
    "2.4": Coded(Rule("recipient")),
    # Exchange Online: what one recipient may receive an hour, from one sender or from all.
    "2.121": Coded(_BUSY),
    "2.122": Coded(_BUSY),
    "3.4": _CONTENT,
    "4.1": Coded(Rule("network"), frozenset({"recipient"})),  # Exchange Online: 5.4.1 Recipient … rejected
    "4.4": Coded(Rule("network"), frozenset({"recipient"})),
    "4.3": _SERVER,
    "4.5": _SERVER,
    "4.6": Coded(Rule("server")),
    "4.14": Coded(Rule("server")),
    "4.310": Coded(_GONE),
    "5.0": OPEN,  # Outlook.com: 5.5.0 mailbox unavailable
    "5.3": _RATE,
    "5.6": _AUTH,
    "7.8": _AUTH,
    "7.9": _AUTH,
    "7.10": _AUTH,
    "7.11": _AUTH,
    "7.12": _AUTH,
    "7.13": _AUTH,
    "7.14": _AUTH,
    "7.57": _AUTH,
    "7.16": _CONTENT,
    "7.17": Coded(_GONE),  # RFC 7293: the mailbox, and next the domain, has another owner now
    "7.18": Coded(_GONE),
    "7.27": _SENDER,
    "7.28": _RATE,
    **{f"6.{detail}": _SYNTAX for detail in (7, 8, 9, 10)},  # RFC 6531: SMTPUTF8 is not supported
    **{f"7.{detail}": _STRICT_POLICY for detail in (20, 21, 22, 23, 24, 25, 26, 29, 30)},
}
_BY_SUBJECT: dict[str, Coded] = {
    "2": Coded(Rule("recipient"), ANY),
    "3": Coded(Rule("server"), ANY),
    "4": Coded(Rule("network"), frozenset({"rate"})),
    "5": _SYNTAX,
    "6": _CONTENT,
    "7": _POLICY,
}
# Exchange Online throttles whole sources with 4.7.5xx to 4.7.8xx, often saying no more than "server busy".
_THROTTLED = re.compile(r"4\.7\.[5-8]\d\d")

AUTH_CODES = frozenset({530, 534, 535, 538})  # RFC 4954 6, RFC 3207 4


def coded_rule(enhanced: str | None) -> Coded:
    """The row for an enhanced code; `OPEN` when it is absent or says nothing."""
    if enhanced is None:
        return OPEN
    if _THROTTLED.fullmatch(enhanced):
        return _RATE
    _, subject, detail = enhanced.split(".")
    return _BY_DETAIL.get(f"{int(subject)}.{int(detail)}") or _BY_SUBJECT.get(str(int(subject)), OPEN)


# 4xx and 5xx without a better sign (RFC 5321 4.2.3, 4.3.2). Stages not named take the row's "".
_SERVER_RULE, _SYNTAX_RULE = Rule("server"), Rule("syntax")
_BY_CODE: dict[int, dict[str, Rule]] = {
    450: {"mail": Rule("sender"), "rcpt": Rule("recipient"), "": _SERVER_RULE},
    455: {"": _SYNTAX_RULE},
    500: {"": _SYNTAX_RULE},
    501: {"mail": Rule("sender"), "": _SYNTAX_RULE},
    502: {"": _SYNTAX_RULE},
    503: {"": _SYNTAX_RULE},
    504: {"": _SYNTAX_RULE},
    511: {"rcpt": _GONE, "": Rule("policy")},
    521: {"": _SERVER_RULE},  # RFC 7504: the host takes no mail at all
    523: {"": Rule("content")},
    550: {"mail": Rule("sender"), "rcpt": _GONE, "": Rule("content")},
    551: {"mail": Rule("sender"), "": _GONE},
    552: {"rcpt": Rule("mailbox_full"), "": Rule("content")},
    553: {"mail": Rule("sender"), "rcpt": _GONE, "": Rule("content")},
    554: {"mail": Rule("sender"), "rcpt": Rule("policy"), "": Rule("content")},
    555: {"": _SYNTAX_RULE},
    556: {"rcpt": _GONE, "": _SERVER_RULE},  # RFC 7504 4: the domain takes no mail
}
_OTHER_PERMANENT = {"mail": Rule("sender"), "data": Rule("content"), "final": Rule("content")}


def plain_rule(code: int, stage: Stage) -> Rule:
    """From the basic code alone."""
    if stage in ("connect", "ehlo") or (code < 500 and code not in _BY_CODE):
        return _SERVER_RULE
    row = _BY_CODE.get(code)
    if row is None:
        return _OTHER_PERMANENT.get(stage, Rule("policy"))
    return row.get(stage) or row.get("", _SERVER_RULE)


def _words(*alternatives: str) -> re.Pattern[str]:
    """For lower-cased text: twice as fast as ignoring case, and a block list answers every message."""
    return re.compile("|".join(alternatives))


_GREYLISTED = _words(
    r"gr[ae]y[- _]?list", r"postgrey", r"try again in \d+", r"not yet authori[sz]ed to deliver",
    r"retry (after|in) \d+ ?(s|m)",
)  # fmt: skip
_BUSY_WORDS = _words(r"receiving (e-?mail|messages|mail) (at a rate|too (quickly|fast|many|much))")
_RATE_WORDS = _words(
    r"too (many|much (mail|e-?mail|traffic)|fast|quickly|frequent)", r"throttl", r"rate[- ]?limit",
    r"limit(ed)? (the )?rate",
    r"(unusual|at a|message|sending|hourly|mail) rate", r"send(ing|er)? (thread )?(limit|quota)",
    r"(daily|hourly|message|recipient|connection|sending) (\w+ )?(limit|quota) (is |was |has been )?(exceed|reach)",
    r"temporarily deferred", r"unexpected volume", r"slow down",
    r"exceeded .{0,40}(connections|messages per)", r"mail flood",
    r"max\w* (number of )?(connections|messages)",
)  # fmt: skip
_SENDER_WORDS = _words(
    r"sender (address|domain|verif|rejected|denied|unknown|not)", r"(return|reverse)[- ]path",
    r"(invalid|bad|unknown|verify) sender", r"sender'?s? (address|domain) (is|does|could)",
)  # fmt: skip
_UNKNOWN_WORDS = _words(
    r"user unknown", r"unknown (user|recipient|mailbox|address|local|account)",
    r"(address|mailbox|recipient) unknown",
    r"no such (user|person|recipient|mailbox|address|account|customer|domain|local|addressee)",
    r"no mailbox", r"mailbox name not allowed",
    r"(user|mailbox|account|address|recipient|addressee|domain) .{0,80}(does ?n.?t|does not|did not) exist",
    r"(user|mailbox|account|address|recipient|domain name|host|domain) (was |is |could )?not (be )?found",
    r"does ?n.?t have an? .{0,60}account", r"invalid (recipient|mailbox|user|address)", r"bad destination",
    r"recipient (address )?rejected: (access denied|undeliverable|unknown|no such|invalid)", r"nxdomain",
    r"unroute?able", r"not a (valid|known|local) (mailbox|recipient|user|address)", r"not our customer",
    r"(account|mailbox|user|address) (is |has been |was )?(disabled|closed|deleted|deactivated|inactive)",
    r"(inactive|disabled|terminated) (user|account|mailbox|email address)",
    r"no longer (in use|valid|exists|active|works here|with)", r"null mx", r"recipient not found",
    r"destination unknown", r"user not local", r"unbekannt", r"n'existe pas",
)  # fmt: skip
_SYSTEM_FULL = _words(r"insufficient (system|disk)", r"system (storage|resources)", r"no space left")
_FULL_WORDS = _words(
    r"(mail|in)?box\w* (is |has |size )?.{0,30}(full|exceed)", r"over ?-?quota",
    r"quota (has been |is |was )?(exceeded|full|reached)", r"exceed\w* .{0,30}(quota|storage)",
    r"out of storage", r"(not enough|insufficient) (space|storage|quota)", r"mail ?folder is full",
    r"user .{0,40}(is )?full\b", r"storage (quota|limit|allocation)", r"disk quota",
)  # fmt: skip
_TOO_BIG = _words(
    r"message (size|length|is too|too|file too|exceeds)", r"size (limit|exceed)", r"too (large|big)\b",
    r"maximum (message )?size",
)  # fmt: skip
_LISTED = _words(
    r"spamhaus|spamcop|barracuda|sorbs|dnsbl|\brbl|uribl", r"(block|black|deny|ban) ?list",
    r"client host|your (ip|server|host)", r"reputation", r"relay",
    r"\[?(\d{1,3}\.){3}\d{1,3}\]? (is|was|has been|blocked|listed)", r"reverse dns|\bptr\b|rdns",
)  # fmt: skip
_CONTENT_WORDS = _words(
    r"spam|unsolicited|\bbulk|junk|virus|malware|phish|infected", r"content",
    r"suspicious|dangerous|harmful", r"attachment", r"bare (lf|cr|newline)", r"line (is )?too long",
    r"malformed|header", r"\burls?\b",
)  # fmt: skip
_POLICY_WORDS = _words(
    r"polic", r"block|black|banned|denied|denies|prohibit|forbidden|restrict",
    r"not (allowed|permitted|authori[sz]ed|accepted)", r"\bspf\b|dkim|dmarc", r"refus", r"administrat",
    r"complaint|abuse", r"permanently deferred",
)  # fmt: skip
_AUTH_WORDS = _words(
    r"authentication (is )?required", r"must (first )?(authenticate|issue a starttls)",
    r"client (was )?not authenticated", r"(not|please) log(ged)? ?in\b(?! as)",
)  # fmt: skip
# The server takes no mail from us for other domains: a login or an allowed address is missing, whoever the recipient.
_RELAY_WORDS = _words(
    r"(?<!open )relay(ing)? (access )?(is )?(denied|not (allowed|permitted|authori[sz]ed)|prohibited)",
    r"(unable|not (allowed|permitted|authori[sz]ed)) to relay", r"do(n't| not) relay", r"allowed rcpthosts",
)  # fmt: skip

_WORDINGS: tuple[tuple[re.Pattern[str], Rule], ...] = (
    (_AUTH_WORDS, Rule("auth")),
    (_BUSY_WORDS, _BUSY),
    (_RATE_WORDS, Rule("rate")),
    (_SENDER_WORDS, Rule("sender")),
    (_UNKNOWN_WORDS, _GONE),
    (_SYSTEM_FULL, _SERVER_RULE),
    (_FULL_WORDS, Rule("mailbox_full")),
    (_TOO_BIG, Rule("content")),
    (_LISTED, Rule("policy")),
    (_CONTENT_WORDS, Rule("content")),
    (_POLICY_WORDS, Rule("policy")),
)


def worded_rule(text: str, stage: Stage, *, permanent: bool) -> Rule | None:
    """The first wording that `text` contains. Before DATA "spam" is about us, not about the content, and a refusal
    to relay is the server's own, not one that it passes on."""
    text = text.lower()
    if stage in ("mail", "rcpt") and _RELAY_WORDS.search(text):
        return Rule("auth")
    if not permanent and _GREYLISTED.search(text):
        return Rule("greylisted")
    for pattern, rule in _WORDINGS:
        if pattern.search(text):
            about_us = pattern is _CONTENT_WORDS and stage not in ("data", "final")
            return Rule("policy") if about_us else rule
    return None
