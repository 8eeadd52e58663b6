"""Where a service gets the public keys of access tokens (RFC 7517)."""

from typing import Any, Protocol

import httpx

from alta_common.errors import UnavailableError

_MAX_BYTES = 256 * 1024


class JwksSource(Protocol):
    """Something that knows identity's public keys."""

    async def load(self) -> dict[str, Any]:
        """Return the JWK set as it is now. Raises `UnavailableError` when it cannot be had."""


class StaticJwks:
    """A key set that is known beforehand."""

    def __init__(self, jwks: dict[str, Any]) -> None:
        self._jwks = jwks

    async def load(self) -> dict[str, Any]:
        """Return the key set."""
        return self._jwks


class HttpJwks:
    """The key set that identity publishes at `url`."""

    def __init__(self, url: str, client: httpx.AsyncClient | None = None) -> None:
        self._url = url
        self._client = client or httpx.AsyncClient(timeout=httpx.Timeout(3.0, connect=2.0), trust_env=False)

    async def load(self) -> dict[str, Any]:
        """Fetch the key set."""
        try:
            answer = await self._client.get(self._url, headers={"accept": "application/json"})
            answer.raise_for_status()
            jwks = answer.json() if len(answer.content) <= _MAX_BYTES else None
        except (httpx.HTTPError, ValueError) as error:
            raise UnavailableError("The keys that access tokens are checked with cannot be had now.") from error
        if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
            raise UnavailableError("The keys that access tokens are checked with cannot be read.")
        return jwks

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._client.aclose()
