"""How much at once, how often, how long."""

import random
from dataclasses import dataclass

_LONGEST_RETRY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class RelayPolicy:
    """What the settings say about one outbox."""

    batch_size: int
    """Published and not struck out, at the most: what a fault can send twice."""
    window: int
    """Published and not confirmed, at the most."""
    poll_seconds: float
    max_retries: int
    retry_seconds: float
    stale_seconds: float = 10.0
    """A relay that has been silent for so long is taken for frozen, and its session is ended by the others."""

    @property
    def lease_seconds(self) -> float:
        """Return for how long after the last word from PostgreSQL shards count as ours: half of what others wait."""
        return self.stale_seconds / 2

    def retry_in(self, attempts: int) -> float:
        """Return the wait before the next attempt after `attempts` failed ones: exponential, with full jitter."""
        longest = min(_LONGEST_RETRY_SECONDS, self.retry_seconds * 2 ** min(attempts, 20))
        return random.uniform(0, longest)  # noqa: S311 - jitter, not a secret
