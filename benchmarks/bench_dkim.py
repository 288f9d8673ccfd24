"""Signed sending, beside what OpenSSL alone signs in a second on the same cores."""

import asyncio
import multiprocessing
import os
import time
from functools import partial
from hashlib import sha256

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from benchmarks.bench_send import rate
from benchmarks.report import Row, beside
from benchmarks.stage import sink
from mailengine.mail.dkim import generate_ed25519, generate_rsa
from peers.availability import LACKING

_SIGNING_SECONDS = 2.0
_MAKERS = {"rsa": generate_rsa, "ed25519": generate_ed25519}


def run(quick: bool) -> list[Row]:
    if LACKING["smtp_sink"]():
        return []
    count, cores = 10_000 if quick else 30_000, os.cpu_count() or 1
    rows: list[Row] = []
    with sink() as server:
        for algorithms in (("rsa",), ("ed25519",), ("rsa", "ed25519")):
            value, baselines = asyncio.run(
                rate(
                    None, server.port, count, cores, partial(raw_signing, algorithms, cores), keys=algorithms
                )
            )
            name = f"send {count:,} signed with {' and '.join(algorithms)}, SQLite, {cores} workers"
            rows.append(beside(name, value, baselines, f"OpenSSL on {cores} cores"))
    return rows


def raw_signing(algorithms: tuple[str, ...], processes: int) -> float:
    """How many digests a second so many processes sign, each with every one of the algorithms."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        return sum(pool.map(_signed_a_second, [algorithms] * processes))


def _signed_a_second(algorithms: tuple[str, ...]) -> float:
    keys = [
        serialization.load_pem_private_key(_MAKERS[algorithm]().private_pem, None) for algorithm in algorithms
    ]
    digest, prehashed, padded = sha256(b"x").digest(), Prehashed(hashes.SHA256()), padding.PKCS1v15()
    count, started = 0, time.perf_counter()
    while (now := time.perf_counter()) < started + _SIGNING_SECONDS:
        for key in keys:
            if isinstance(key, rsa.RSAPrivateKey):
                key.sign(digest, padded, prehashed)
            elif isinstance(key, Ed25519PrivateKey):
                key.sign(digest)
        count += 1
    return count / (now - started)
