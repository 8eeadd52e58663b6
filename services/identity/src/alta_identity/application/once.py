from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.http.idempotency import IdempotencyKeys, StoredAnswer
from alta_common.ids import derived_id
from alta_identity.security.peppers import Peppers


class Registrars:
    """Recognises registrations that come again with the same `Idempotency-Key`.

    Whoever registers is nobody yet, so a key belongs to the address that is registered. What is stored of the
    request is keyed with the pepper: a plain SHA-256 of a password could be guessed from.
    """

    def __init__(self, keys: IdempotencyKeys, peppers: Peppers) -> None:
        self._keys = keys
        self._peppers = peppers

    async def replay(self, session: AsyncSession, once: "Once", address_key: str, *request: str) -> StoredAnswer | None:
        """Return the answer that the same request got before; None when it is to be done now.

        Raises an `InvalidError` when the key was used for another request and a `ConflictError` while another
        transaction is answering it.
        """
        if once.key is None:
            return None
        fingerprint = self._peppers.fingerprint("registration", address_key, *request).hex()
        return await self._keys.begin(session, self._owner(address_key), once.key, fingerprint)

    async def keep(self, session: AsyncSession, once: "Once", address_key: str) -> None:
        """Store the answer."""
        if once.key is not None:
            await self._keys.finish(
                session,
                self._owner(address_key),
                once.key,
                status=once.answer.status,
                headers=once.answer.headers,
                body=once.answer.body,
            )

    def _owner(self, address_key: str) -> UUID:
        return derived_id(UUID(int=0), self._peppers.fingerprint("registrar", address_key).hex())


@dataclass(frozen=True, slots=True)
class Once:
    """The idempotency key of a request, if it has one, and the answer that is stored with it."""

    key: str | None
    answer: StoredAnswer
