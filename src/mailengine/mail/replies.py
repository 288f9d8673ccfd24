"""SMTP replies turned into verdicts: what happened to a recipient, why, and whether to try again.

Invariants: the basic code decides between accepted, deferred and rejected (RFC 5321 4.2.1); the
enhanced code (RFC 3463, IANA registry), where given, decides the cause, and the wording only where the
code leaves it open. `hard` is True only when the *recipient address* is permanently bad; a full mailbox, a
policy or a bad sender never is. What is no recipient's fault (connection, greeting, login, leave to relay, a
session out of step) defers even on a 5xx, so that nothing is lost while the operator mends it. Anything
unintelligible defers.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mailengine.mail.reply_rules import AUTH_CODES, Cause, Rule, Stage, coded_rule, plain_rule, worded_rule

Outcome = Literal["accepted", "deferred", "rejected"]

MAX_TEXT = 1000
# A server may send megabytes; nothing after this decides anything.
_MAX_READ = 8192

_LINE = re.compile(r"\s*(?:smtp;\s*)?([2-5]\d\d)(?:[ \t-]|(?=#|$))(.*)", re.S | re.I)
# What nearly every server says: a code, perhaps an enhanced one, and words that hold no code.
_ORDINARY = re.compile(
    rb"([2-5]\d\d) (?:([245]\.\d{1,3}\.\d{1,3}) )?([A-Za-z](?:[ !-\"$-~]{0,200}[!-\"$-~])?)"
)
# "5.1.1", "#5.1.0" (Cisco), "[5.7.1]"; never the beginning of an IP address.
_ENHANCED = re.compile(r"[\s#(\[<]*([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)[)\]>:;,-]*\s*")
_TRAILING_ENHANCED = re.compile(r"\(#([245]\.\d{1,3}\.\d{1,3})\)")  # qmail: "sorry, no mailbox (#5.1.1)"
_OF_A_MESSAGE = frozenset({"recipient", "mailbox_full", "mailbox_busy", "content", "sender"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(slots=True)  # not frozen, which doubles the time to make one: there is one a message
class Reply:
    """What a server said; `code` is 0 when it said nothing that is a reply."""

    code: int
    enhanced: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`cause` is None only for accepted; `text` is the server's words without the codes."""

    outcome: Outcome
    cause: Cause | None
    code: int
    enhanced: str | None
    text: str
    hard: bool


def parse_reply(reply: str | bytes | Iterable[str | bytes]) -> Reply:
    """A whole reply, as one text or as its lines; codes are read from the first line that has them."""
    if isinstance(reply, list) and len(reply) == 1 and isinstance(reply[0], bytes):
        ordinary = _ORDINARY.fullmatch(reply[0])  # a quarter of what the general way costs, for every message
        if ordinary is not None:
            code, enhanced, words = ordinary.groups()
            return Reply(int(code), enhanced.decode("ascii") if enhanced else None, words.decode("ascii"))
    return _parse_any(reply)


def _parse_any(reply: str | bytes | Iterable[str | bytes]) -> Reply:
    code, enhanced, texts = 0, None, []
    for line in _lines(reply):
        rest = line
        if matched := _LINE.match(line):
            code = code or int(matched[1])
            rest = matched[2]
        if found := _ENHANCED.match(rest):
            enhanced = enhanced or found[1]
            rest = rest[found.end() :]
        texts.append(rest.strip())
    text = _CONTROL.sub(" ", " ".join(filter(None, texts))).strip()
    if enhanced is None and (trailing := _TRAILING_ENHANCED.search(text)):
        enhanced = trailing[1]
    return Reply(code, enhanced, text[:MAX_TEXT])


def judge(reply: Reply, stage: Stage) -> Verdict:
    """What `reply` to the command of `stage` means for the recipient ("final" is after the dot)."""
    severity = reply.code // 100 or int((reply.enhanced or "0")[0])  # a DSN may give only the latter
    if severity in (2, 3):
        return Verdict("accepted", None, reply.code, reply.enhanced, reply.text, hard=False)
    if severity not in (4, 5):
        cause: Cause = "server" if reply.text else "network"
        return Verdict("deferred", cause, reply.code, reply.enhanced, reply.text, hard=False)
    rule = _rule(reply, stage, permanent=severity == 5)
    no_fault = stage in ("connect", "ehlo", "auth") or rule.cause == "auth" or _out_of_step(reply, rule)
    deferred = severity == 4 or no_fault
    return Verdict(
        outcome="deferred" if deferred else "rejected",
        cause=rule.cause,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
        hard=rule.hard and not deferred and stage != "mail",
    )


def _out_of_step(reply: Reply, rule: Rule) -> bool:
    """503 (RFC 5321 4.2.3): the session's commands came in a bad order; the message is not at fault."""
    return reply.code == 503 and rule.cause == "server"


def _rule(reply: Reply, stage: Stage, *, permanent: bool) -> Rule:
    """From the most telling sign to the least: the stage, the codes, the wording, the basic code."""
    if stage == "auth" or reply.code in AUTH_CODES:
        return Rule("server") if reply.code == 421 else Rule("auth")
    coded = coded_rule(reply.enhanced)
    worded = worded_rule(reply.text, stage, permanent=permanent) if coded.yields else None
    if worded is not None and worded.cause in coded.yields:
        rule = worded
    else:
        rule = coded.rule or plain_rule(reply.code, stage)
    return _seen_from(stage, rule, reply.code, permanent=permanent)


def _seen_from(stage: Stage, rule: Rule, reply_code: int, *, permanent: bool) -> Rule:
    """No recipient is known to the server before RCPT, so what it refuses is the sender or us."""
    if stage == "mail" and (rule.cause == "recipient" or (rule.cause == "policy" and permanent)):
        return Rule("sender")
    if stage in ("connect", "ehlo") and rule.cause in _OF_A_MESSAGE:
        return Rule("server")
    if reply_code == 503 and rule.cause == "syntax":
        return Rule("server")
    return rule


def _lines(reply: str | bytes | Iterable[str | bytes]) -> list[str]:
    parts: Iterable[str | bytes] = (reply,) if isinstance(reply, str | bytes) else reply
    read = [part[:_MAX_READ] for part in parts]
    texts = [part.decode("utf-8", "replace") if isinstance(part, bytes) else part for part in read]
    return "\n".join(texts)[:_MAX_READ].splitlines()
