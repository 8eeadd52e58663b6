import math
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from joserfc import jwt

from alta_common.ids import new_id
from alta_identity.models.account import Account
from alta_identity.models.login_session import LoginSession
from alta_identity.models.scopes import scopes_of
from alta_identity.security.keys import KeyRing

# Tokens that were issued together (a restart signs everybody in at once) do not expire together.
JITTER = 0.05


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed access token and the seconds that it lives."""

    token: str
    expires_in: int


class AccessTokens:
    """Signs access tokens: JWT (RFC 9068, `typ: at+jwt`), ES256."""

    def __init__(self, ring: KeyRing, *, issuer: str, audience: str, life: timedelta) -> None:
        self._ring = ring
        self._issuer = issuer
        self._audience = audience
        self._life = life.total_seconds()

    def issue(self, account: Account, session: LoginSession, now: datetime) -> AccessToken:
        """Return a token for a session of an account; it never outlives the session."""
        left = (session.expires_at - now).total_seconds()
        shortened = self._life * (1 - JITTER * secrets.randbelow(1000) / 1000)
        expires_in = max(1, math.ceil(min(shortened, left)))
        issued_at = int(now.timestamp())
        key = self._ring.signer(now)
        header = {"alg": "ES256", "typ": "at+jwt", "kid": key["kid"]}
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "exp": issued_at + expires_in,
            "nbf": issued_at,
            "iat": issued_at,
            "jti": str(new_id()),
            "sub": str(account.id),
            "sid": str(session.id),
            "scope": " ".join(scopes_of(account.role)),
            "role": account.role.value,
        }
        return AccessToken(jwt.encode(header, claims, key, algorithms=["ES256"]), expires_in)
