from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from alta_common.db.engine import Sessions
from alta_identity.models.base import Clock
from alta_identity.models.signing_key import SigningKey
from alta_identity.repositories.signing_keys import SigningKeyRepository
from alta_identity.security.keys import KeyRing, KeyVault

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """When signing keys come and go.

    `overlap` is how long a replaced key stays in the JWKS: longer than any token it signed lives.
    """

    rotation: timedelta = timedelta(days=30)
    publish_ahead: timedelta = timedelta(days=1)
    overlap: timedelta = timedelta(days=1)


class KeyService:
    """Keeps the signing keys in PostgreSQL in time, and the ring of this process in step with them."""

    def __init__(
        self, sessions: Sessions, vault: KeyVault, ring: KeyRing, *, schedule: KeySchedule, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._ring = ring
        self._schedule = schedule
        self._clock = clock

    async def keep(self) -> None:
        """Make the first key, publish the next one a while before its time; then hold what is there.

        Many replicas may call it at any time: an advisory lock lets one of them make a key.
        Raises `KeySealedOtherwiseError` when a key was sealed with an encryption key that is not configured.
        """
        now = self._clock()
        async with self._sessions.begin() as session:
            repository = SigningKeyRepository(session)
            keys = await repository.list_published(now)
            if self._next_is_due(keys, now):
                await repository.wait_for_turn()
                keys = await self._advance(repository, now)
        self._ring.hold([(key, self._vault.open(key)) for key in keys])

    async def _advance(self, repository: SigningKeyRepository, now: datetime) -> Sequence[SigningKey]:
        # Read again: another replica may have been here while we waited.
        keys = list(await repository.list_published(now))
        if self._next_is_due(keys, now):
            key = self._vault.new_key(active_from=self._next_start(keys, now), now=now)
            for earlier in keys:
                earlier.withdraw(key.active_from + self._schedule.overlap)
            repository.add(key)
            keys.append(key)
            log.info("signing_key.made", kid=key.kid, active_from=key.active_from.isoformat())
        return keys

    def _next_is_due(self, keys: Sequence[SigningKey], now: datetime) -> bool:
        return not keys or now >= keys[-1].active_from + self._schedule.rotation - self._schedule.publish_ahead

    def _next_start(self, keys: Sequence[SigningKey], now: datetime) -> datetime:
        if not keys:
            return now
        return max(keys[-1].active_from + self._schedule.rotation, now + self._schedule.publish_ahead)
