"""Signing keys: made, sealed for the database, and held open in memory."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from joserfc.jwk import ECKey

from alta_common.errors import UnavailableError
from alta_common.ids import new_id
from alta_identity.models.signing_key import SigningKey


class KeySealedOtherwiseError(RuntimeError):
    """A private key in the database was sealed with a key that is not configured."""


class KeyVault:
    """Makes signing keys and opens their private parts, which only it can (Fernet, newest key first)."""

    def __init__(self, encryption_keys: list[str]) -> None:
        """Take Fernet keys, one at least. Raises `ValueError` when there is none or one is malformed."""
        self._fernet = MultiFernet([Fernet(key) for key in encryption_keys])

    def new_key(self, *, active_from: datetime, now: datetime) -> SigningKey:
        """Return the row of a new P-256 key; its `kid` says nothing."""
        kid = new_id().hex
        key = ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"}, private=True)
        sealed = self._fernet.encrypt(orjson.dumps(key.as_dict(private=True))).decode()
        return SigningKey.issue(
            kid, public_jwk=dict(key.as_dict(private=False)), private_sealed=sealed, active_from=active_from, now=now
        )

    def open(self, row: SigningKey) -> ECKey:
        """Return the private key of a row. Raises `KeySealedOtherwiseError` without the key that sealed it."""
        try:
            private = orjson.loads(self._fernet.decrypt(row.private_sealed.encode()))
        except InvalidToken as error:
            raise KeySealedOtherwiseError(
                f"IDENTITY_KEY_ENCRYPTION_KEY does not open signing key {row.kid}: add the key it was sealed with"
            ) from error
        return ECKey.import_key(private)


class KeyRing:
    """The signing keys as this process last read them. It is also the JWKS that identity checks its own tokens with."""

    def __init__(self) -> None:
        self._keys: tuple[tuple[SigningKey, ECKey], ...] = ()

    def hold(self, keys: Iterable[tuple[SigningKey, ECKey]]) -> None:
        """Take the place of what was held: rows with their opened keys."""
        self._keys = tuple(sorted(keys, key=lambda pair: pair[0].active_from))

    def signer(self, now: datetime) -> ECKey:
        """Return the key that signs now: the newest whose time has come. Raises `UnavailableError` without one."""
        active = [key for row, key in self._keys if row.active_from <= now]
        if not active:
            raise UnavailableError("there is no key to sign access tokens with yet")
        return active[-1]

    def jwks(self) -> dict[str, Any]:
        """Return the public keys, coming ones included, as a JWK set (RFC 7517)."""
        return {"keys": [row.public_jwk for row, _ in reversed(self._keys)]}

    async def load(self) -> dict[str, Any]:
        """Return the same, as the token verifier asks for it."""
        return self.jwks()
