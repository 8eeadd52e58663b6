"""Sealing: what an event must carry but nobody on the way may read (Fernet: AES-128-CBC with HMAC-SHA-256)."""

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from alta_common.errors import InvalidError


class Sealer:
    """Seals small JSON objects with the first of its keys and opens them with any, so that keys can rotate."""

    def __init__(self, keys: list[str]) -> None:
        """Take Fernet keys (URL-safe base64 of 32 bytes), newest first. Raises `ValueError` on a malformed one."""
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, values: dict[str, str]) -> str:
        """Return an opaque token that only the holder of a key can open."""
        return self._fernet.encrypt(orjson.dumps(values)).decode()

    def open(self, token: str) -> dict[str, str]:
        """Return what was sealed. Raises `InvalidError` when the token was not sealed with one of our keys."""
        try:
            opened: dict[str, str] = orjson.loads(self._fernet.decrypt(token.encode()))
        except InvalidToken as error:
            raise InvalidError("the sealed value was not sealed with a key of ours") from error
        return opened
