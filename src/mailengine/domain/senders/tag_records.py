"""DKIM keys (RFC 6376, section 3.6.1) and DMARC policies (RFC 7489, section 6.3): lists of `tag=value`."""

import re

from mailengine.domain.senders.verdicts import Verdict, failed, passed

POLICIES = ("none", "quarantine", "reject")


def tags(record: str) -> dict[str, str] | None:
    """The tags of a record in their order, None when it is no tag list (RFC 6376, section 3.2)."""
    found: dict[str, str] = {}
    for part in record.strip().rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not equals or not name or name in found:
            return None
        found[name] = value.strip()
    return found


def judge_dkim(name: str, texts: list[str], expected_record: str) -> Verdict:
    """The verdict on the TXT records at `selector._domainkey.domain`, against the key that signs."""
    if not texts:
        return failed(f"there is no DKIM key at {name}; publish the record shown", texts)
    if len(texts) > 1:  # RFC 6376, section 3.6.2.2: which one counts is undefined
        return failed(f"there are {len(texts)} TXT records at {name}; leave only the key", texts)
    found, expected = tags(texts[0]), tags(expected_record) or {}
    if found is None or "p" not in found or (found.get("v", "DKIM1") != "DKIM1"):
        return failed(f"what stands at {name} is not a DKIM key", texts)
    problem = _key_problem(found, expected)
    if problem:
        return failed(f"{problem} at {name}; publish the record shown", texts)
    testing = "y" in found.get("t", "").replace(" ", "").split(":")
    words = "the key is published" + (", but marked as a test (t=y): take that out" if testing else "")
    return passed(words, texts)


def _key_problem(found: dict[str, str], expected: dict[str, str]) -> str | None:
    if not found["p"]:
        return "the DKIM key is revoked (p= is empty)"
    if found.get("k", "rsa").lower() != expected.get("k", "rsa"):
        return f"the DKIM key is of another kind ({found['k']})"
    if _bare(found["p"]) != _bare(expected["p"]):
        return "another DKIM key stands"
    if "h" in found and "sha256" not in _choices(found["h"]):
        return "the DKIM key does not allow SHA-256 (h=)"
    if "s" in found and not {"*", "email"} & _choices(found["s"]):
        return "the DKIM key is not for e-mail (s=)"
    return None


def _bare(key: str) -> str:
    """A key without the spaces and quotes that DNS panels leave in it."""
    return re.sub(r'[\s"]', "", key)


def _choices(value: str) -> set[str]:
    return {choice.strip().lower() for choice in value.split(":")}


def dmarc_records(texts: list[str]) -> list[str]:
    """The DMARC records among a name's TXT records: `v=DMARC1` comes first (RFC 7489, section 6.6.3)."""
    return [text for text in texts if re.match(r"\s*v\s*=\s*DMARC1\s*(;|\Z)", text)]


def judge_dmarc(domain: str, at: str, texts: list[str]) -> Verdict:
    """The verdict on the TXT records at `_dmarc.<at>`, where `at` is the domain or a parent of it."""
    records = dmarc_records(texts)
    if not records:
        return failed(f"there is no DMARC policy at _dmarc.{domain}; publish the record shown", texts)
    if len(records) > 1:
        return failed(f"there are {len(records)} DMARC policies at _dmarc.{at}; leave one", records)
    found = tags(records[0])
    policy = "" if found is None else found.get("p", "").lower()
    if found is not None and at != domain:
        policy = found.get("sp", policy).lower()
    if found is None or policy not in POLICIES:
        return failed(f"the DMARC policy at _dmarc.{at} has no p={'|'.join(POLICIES)}", records)
    inherited = "" if at == domain else f", inherited from {at}"
    return passed(f"policy {policy}{inherited}", records)
