"""A real OpenID provider (oidc-provider-mock, on Authlib) on a free port of the loopback, in a process of its own."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx

from peers.processes import stop
from peers.started import on_free_port


class IdentityProvider:
    """`know` says who somebody is; `authorise` is what a person does on its page."""

    def __init__(self, log: Path) -> None:
        self._process, port = on_free_port(partial(_launch, log), "the identity provider", log)
        self.issuer = f"http://127.0.0.1:{port}"

    def know(self, subject: str, **claims: object) -> None:
        httpx.put(f"{self.issuer}/users/{subject}", json=claims, timeout=20).raise_for_status()

    def authorise(self, url: str, subject: str) -> str:
        """Log in as `subject` at the address that the browser was sent to; returns where it is sent back to."""
        answer = httpx.post(url, data={"sub": subject}, follow_redirects=False, timeout=20)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def stop(self) -> None:
        stop(self._process)


def _launch(log: Path, port: int) -> "subprocess.Popen[bytes]":
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
