"""Identity's public keys, fetched with the client that the gateway has anyway."""

from typing import Any

import aiohttp
import orjson

from alta_common.errors import UnavailableError
from alta_gateway.upstream.client import read_bounded

_SECONDS = 3.0
_MAX_BYTES = 256 * 1024


class UpstreamJwks:
    """The key set at `url` (a `JwksSource`)."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def load(self) -> dict[str, Any]:
        """Fetch the key set. Raises `UnavailableError` when it cannot be had or read."""
        try:
            timeout = aiohttp.ClientTimeout(total=_SECONDS)
            async with self._session.get(self._url, timeout=timeout, raise_for_status=True) as answer:
                jwks = orjson.loads(await read_bounded(answer, _MAX_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise UnavailableError("The keys that access tokens are checked with cannot be had now.") from error
        if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
            raise UnavailableError("The keys that access tokens are checked with cannot be read.")
        return jwks
