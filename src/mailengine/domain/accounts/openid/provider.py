"""The login by an identity provider: authorization code with PKCE (OpenID Connect Core; RFC 7636).

Invariants: what begins a login (state, nonce, verifier) is tied to the browser and used once by the caller; the ID
token is taken from the token endpoint alone, and is checked all the same: signature, issuer, audience, expiry, nonce.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from mailengine.core.config import OidcSettings
from mailengine.core.errors import Unauthorised, Unavailable
from mailengine.domain.accounts.openid.fetching import Fetcher
from mailengine.domain.accounts.openid.tokens import Keys, Verifier

_FRESH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Claims:
    """Who the provider says that it is; `email` is empty unless the provider has confirmed it."""

    issuer: str
    subject: str
    email: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A login on its way: what the browser is sent with, and what must come back."""

    url: str
    state: str
    nonce: str
    verifier: str


class Provider:
    """The configured provider; its discovery document is kept for an hour."""

    def __init__(self, settings: OidcSettings, *, redirect_uri: str) -> None:
        assert settings.issuer is not None
        self.issuer = settings.issuer
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._fetcher = Fetcher(private=settings.private_hosts)
        self._metadata: dict[str, Any] = {}
        self._known_since: datetime | None = None
        self._verifier = Verifier(issuer=self.issuer, audience=settings.client_id, keys=Keys(self._load_keys))

    async def begin(self, *, now: datetime) -> Begun:
        """Where to send the browser, with secrets of this one login."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        digest = hashlib.sha256(verifier.encode()).digest()  # RFC 7636, section 4.2
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": "openid email",
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        endpoint = await self._endpoint("authorization_endpoint", now)
        return Begun(endpoint + ("&" if "?" in endpoint else "?") + urlencode(asked), state, nonce, verifier)

    async def finish(self, *, code: str, nonce: str, verifier: str, now: datetime) -> Claims:
        """Exchange the code; raises Unauthorised for a token that is not for us and this login."""
        secret = self._settings.client_secret
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._settings.client_id,
            "code_verifier": verifier,
        }
        auth = (self._settings.client_id, secret.get_secret_value()) if secret else None
        answer = await self._fetcher.post(await self._endpoint("token_endpoint", now), form, auth)
        claims = await self._verifier.claims(str(answer.get("id_token", "")), now=now)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise Unauthorised("the identity provider answered another question; start again")
        if "email" not in claims and "userinfo_endpoint" in self._metadata:
            claims |= await self._user_info(str(answer.get("access_token", "")), claims["sub"], now)
        return claims_of(self.issuer, claims)

    async def _user_info(self, access_token: str, subject: str, now: datetime) -> dict[str, Any]:
        """The address, from a provider that does not put it into the ID token (Core, section 5.3)."""
        endpoint = await self._endpoint("userinfo_endpoint", now)
        found = await self._fetcher.get(endpoint, bearer=access_token)
        if found.get("sub") != subject:  # section 5.3.2: another user's, by a substituted token
            raise Unauthorised("the identity provider answered about somebody else")
        return {name: found[name] for name in ("email", "email_verified") if name in found}

    async def _endpoint(self, name: str, now: datetime) -> str:
        if self._known_since is None or now - self._known_since >= _FRESH:
            document = await self._fetcher.get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            if document.get("issuer") != self.issuer:  # OpenID Connect Discovery, section 4.3
                raise Unavailable("the identity provider says that it is another issuer; check oidc.issuer")
            self._metadata, self._known_since = document, now
        url = self._metadata.get(name)
        schemes = ("https://", "http://") if self._settings.private_hosts else ("https://",)
        if not isinstance(url, str) or not url.startswith(schemes):
            raise Unavailable(f"the identity provider names no usable {name}")
        return url

    async def _load_keys(self) -> dict[str, Any]:
        assert self._known_since is not None
        return await self._fetcher.get(await self._endpoint("jwks_uri", self._known_since))


def claims_of(issuer: str, claims: dict[str, Any]) -> Claims:
    """Who it is; an address counts only where the provider says that it is confirmed (Core, section 5.1)."""
    confirmed = claims.get("email_verified") in (True, "true")
    email = str(claims.get("email", "")) if confirmed else ""
    subject = str(claims["sub"])
    if not 0 < len(subject) <= 255:
        raise Unauthorised("the identity provider gave no usable subject")
    return Claims(issuer, subject, email)
