import secrets
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from alta_identity.security.password_rules import PasswordRules, normalised
from alta_identity.security.peppers import Peppers
from alta_identity.security.pool import BoundedPool


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one hash costs whoever makes it: memory, passes, lanes."""

    memory_kib: int = 19_456
    passes: int = 2
    lanes: int = 1


class Passwords:
    """Makes and checks password hashes: argon2id over the peppered password, in a bounded pool.

    A stored hash reads `p<version of the pepper>$argon2id$…`.
    """

    def __init__(self, pool: BoundedPool, peppers: Peppers, cost: Argon2Cost) -> None:
        self._pool = pool
        self._peppers = peppers
        self._hasher = PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes)
        # Checked in place of the hash that an unknown account does not have, so that it takes the same time.
        self._dummy = self._hash(secrets.token_urlsafe(32))

    async def check(self, rules: PasswordRules, password: str, own_words: list[str]) -> None:
        """Raise what `rules` raise, in the pool: judging a password takes milliseconds of a core."""
        await self._pool.run(rules.check, password, own_words)

    async def hash(self, password: str) -> str:
        """Return a hash to store. Raises `UnavailableError` when too many are waiting."""
        return await self._pool.run(self._hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Say whether the password belongs to the hash; with None the answer is no, after the same time.

        Raises `UnavailableError` when too many are waiting.
        """
        matches = await self._pool.run(self._verify, password, stored or self._dummy)
        return matches and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Say whether a hash was made with another pepper or other parameters than new ones are."""
        version, encoded = _parts(stored)
        return version != self._peppers.current or self._hasher.check_needs_rehash(encoded)

    def _hash(self, password: str) -> str:
        version = self._peppers.current
        encoded = self._hasher.hash(self._peppers.season(normalised(password), version))
        return f"p{version}{encoded}"

    def _verify(self, password: str, stored: str) -> bool:
        version, encoded = _parts(stored)
        if not self._peppers.knows(version):
            raise ValueError(f"a password was hashed with pepper {version}, which is not configured")
        try:
            return self._hasher.verify(encoded, self._peppers.season(normalised(password), version))
        except (VerificationError, InvalidHashError):
            return False


def _parts(stored: str) -> tuple[int, str]:
    version, dollar, encoded = stored.partition("$")
    return int(version.removeprefix("p")), dollar + encoded
