"""Access tokens for tests, signed with a key of their own: the same shape that identity issues."""

import time
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import ECKey

from alta_common.http.jwks import StaticJwks
from alta_common.http.tokens import TokenVerifier
from alta_common.ids import new_id


class TokenMaker:
    """Makes access tokens, and the key set that verifies them."""

    def __init__(self, issuer: str = "alta-identity", audience: str = "alta", kid: str | None = None) -> None:
        self._issuer = issuer
        self._audience = audience
        self._kid = kid or f"test-{new_id()}"
        self._key = ECKey.generate_key("P-256", {"kid": self._kid, "use": "sig", "alg": "ES256"}, private=True)

    @property
    def jwks(self) -> dict[str, Any]:
        """Return the public key set."""
        return {"keys": [self._key.as_dict(private=False)]}

    @property
    def key(self) -> ECKey:
        """Return the private key, for tokens that a test forges itself."""
        return self._key

    def verifier(self) -> TokenVerifier:
        """Return a verifier that takes this maker's tokens."""
        return TokenVerifier(StaticJwks(self.jwks), self._issuer, self._audience)

    def token(
        self,
        user_id: UUID,
        session_id: UUID | None = None,
        role: str = "user",
        scopes: str | list[str] | tuple[str, ...] = "",
        expires_in: float = 300,
        **claims: Any,
    ) -> str:
        """Return a token for a user; `claims` replace or add, and one that is None is left out."""
        now = int(time.time())
        said = {
            "iss": self._issuer,
            "aud": self._audience,
            "exp": now + int(expires_in),
            "nbf": now,
            "iat": now,
            "jti": str(new_id()),
            "sub": str(user_id),
            "sid": str(session_id or new_id()),
            "scope": scopes if isinstance(scopes, str) else " ".join(scopes),
            "role": role,
            **claims,
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self._kid}
        return jwt.encode(header, {name: value for name, value in said.items() if value is not None}, self._key)

    def headers(self, user_id: UUID, **about: Any) -> dict[str, str]:
        """Return the `Authorization` header of a token for a user."""
        return {"Authorization": f"Bearer {self.token(user_id, **about)}"}
