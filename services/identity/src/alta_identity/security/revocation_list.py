from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from alta_common.errors import UnavailableError

# Verifiers take a token for a few seconds after it expired (clocks differ); the gateway must remember that long.
LEEWAY = timedelta(seconds=30)


class RevocationList:
    """The sessions whose access tokens the gateway refuses: `revoked:session:{sid}` in Redis."""

    def __init__(self, redis: Redis, *, token_life: timedelta) -> None:
        self._redis = redis
        self.remembered_for = token_life + LEEWAY

    async def add(self, session_ids: Sequence[UUID]) -> None:
        """Have the gateway refuse the sessions' access tokens from now on, until the last of them has expired.

        Raises `UnavailableError` when Redis does not answer.
        """
        try:
            async with self._redis.pipeline(transaction=True) as pipeline:
                for session_id in session_ids:
                    pipeline.set(f"revoked:session:{session_id}", "1", ex=self.remembered_for)
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise UnavailableError("the gateway cannot be told now that the session has ended") from error
