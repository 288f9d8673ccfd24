"""Signed tokens of an issuer: whose keys are fetched, kept, and fetched anew when the issuer rotates them.

Only asymmetric signatures count (RFC 8725, section 3.1): `none`, and a shared secret that is really a public key, are
refused before a key is looked for.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from mailengine.core.errors import Unauthorised

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_SECONDS = 60  # two clocks
_FRESH = timedelta(hours=1)
_AGAIN = timedelta(
    seconds=30
)  # between two looks for an unknown key: made-up key ids make no flood of questions
_REFUSED = "the token is not valid"

Load = Callable[[], Awaitable[dict[str, Any]]]


class Keys:
    """The issuer's public keys, as `load` gets them."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._keys: KeySet | None = None
        self._loaded_at: datetime | None = None

    async def current(self, now: datetime, *, rotated: bool = False) -> KeySet:
        """`rotated`: a token names a key that is not among them; look again, but not too often."""
        age = None if self._loaded_at is None else now - self._loaded_at
        if self._keys is None or age is None or age >= (_AGAIN if rotated else _FRESH):
            document = await self._load()
            self._keys, self._loaded_at = _public_keys(document), now
        return self._keys


class Verifier:
    """Checks the tokens of one issuer that are meant for one audience."""

    def __init__(self, *, issuer: str, audience: str, keys: Keys) -> None:
        self.issuer = issuer
        self._audience = audience
        self._keys = keys

    async def claims(self, token: str, *, now: datetime) -> dict[str, Any]:
        """What the token says, when all of it is right; raises Unauthorised, and Unavailable without keys."""
        try:
            try:
                read = jwt.decode(token, await self._keys.current(now), algorithms=ALGORITHMS)
            except (JoseError, ValueError):
                keys = await self._keys.current(now, rotated=True)
                read = jwt.decode(token, keys, algorithms=ALGORITHMS)
            self._registry(now).validate(read.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Unauthorised(_REFUSED) from error
        return read.claims

    def _registry(self, now: datetime) -> JWTClaimsRegistry:
        return JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            sub={"essential": True},
        )


def _public_keys(document: dict[str, Any]) -> KeySet:
    """Keys for signatures; one of a kind that is not known, or meant for encryption, is left out."""
    usable = []
    for key in document.get("keys", []):
        if (
            isinstance(key, dict)
            and key.get("kty") in ("RSA", "EC", "OKP")
            and key.get("use", "sig") == "sig"
        ):
            usable.append(key)
    return KeySet.import_key_set({"keys": usable})
