import hashlib
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.audit import AuditEntry, AuditTrail
from alta_common.ids import derived_id
from alta_identity.models.account import Account
from alta_identity.security.peppers import Peppers

# Chains for what was tried with addresses that have no account: a few, because each entry waits for its chain.
STRANGERS = 64


class Journal:
    """Identity's audit trail: one chain an account, and a few for addresses that have none."""

    def __init__(self, trail: AuditTrail, peppers: Peppers) -> None:
        self._trail = trail
        self._peppers = peppers

    async def record(
        self,
        session: AsyncSession,
        account: Account,
        action: str,
        *,
        actor_id: UUID | None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Record what was done with an account. `actor_id` is None where nobody had proven who they are."""
        await self._trail.record(
            session, AuditEntry(actor_id, action, "account", account.id, account.id, dict(details or {}))
        )

    async def record_stranger(self, session: AsyncSession, address: str, action: str) -> None:
        """Record what was tried with an address that has no account: its keyed hash, never the address itself."""
        fingerprint = self._peppers.fingerprint("address", address)
        await self._trail.record(
            session,
            AuditEntry(None, action, "address", None, _stranger_stream(fingerprint), {"address": fingerprint.hex()}),
        )


def _stranger_stream(fingerprint: bytes) -> UUID:
    number = hashlib.sha256(fingerprint).digest()[0] % STRANGERS
    return derived_id(UUID(int=0), f"identity strangers {number}")
