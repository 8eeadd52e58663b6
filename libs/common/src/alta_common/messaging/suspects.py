"""Messages that may have ended a process, handled one at a time.

Who ended it the broker cannot know: it counts a delivery for every message that a lost connection had unacknowledged,
and at the delivery limit the innocent ones would be dead together with the guilty one.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractIncomingMessage

SUSPICIOUS_FROM = 3
"""How many deliveries must have come to nothing; fewer are what restarts and lost connections do."""

_SPREAD_SECONDS = 0.5
# Waiting counts as holding the message, which the broker allows for 30 minutes, and handlers may need 26 of them.
_PATIENCE_SECONDS = 60.0


class Suspects:
    """Gives each suspect of a process its turn. The others of the process are handled as ever."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold back the other suspects while the block runs; wait for them before, up to a minute."""
        # In another order in each process: behind the guilty one nobody would ever have a turn.
        await asyncio.sleep(random.uniform(0, _SPREAD_SECONDS))  # noqa: S311 - fairness, not a secret
        is_alone = await self._wait()
        try:
            yield
        finally:
            if is_alone:
                self._turn.release()

    async def _wait(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._turn.acquire()
        except TimeoutError:
            return False


def is_suspect(message: AbstractIncomingMessage) -> bool:
    """Say whether a message was delivered too often without coming to an end."""
    return deliveries_of(message) >= SUSPICIOUS_FROM


def deliveries_of(message: AbstractIncomingMessage) -> int:
    """Return how often a message was delivered before, and not acknowledged."""
    count = message.headers.get("x-delivery-count")
    return count if isinstance(count, int) else 0
