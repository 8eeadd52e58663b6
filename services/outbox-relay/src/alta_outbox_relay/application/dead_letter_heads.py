"""Since when the oldest dead letter of each queue has been waiting."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from alta_common.errors import ConflictError, UnavailableError
from alta_outbox_relay.broker.dead_letter_box import opened

log = structlog.get_logger()

# Each look counts as a delivery of the message; at this pace the limit of a million is reached in a hundred years.
_LOOK_AGAIN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _Head:
    ready: int
    failed_at: datetime | None
    looked_at: float


class DeadLetterHeads:
    """Remembers the oldest message of each dead queue; looks again only when it may be another one.

    Queues are first in, first out: the head changes when messages have left, not when some have come.
    """

    def __init__(self, rabbitmq_url: str) -> None:
        self._url = rabbitmq_url
        self._heads: dict[str, _Head] = {}

    def failed_at(self, queue: str) -> datetime | None:
        """Return when the oldest message of a queue died; None when there is none, or it does not say."""
        head = self._heads.get(queue)
        return head.failed_at if head else None

    async def follow(self, ready: Mapping[str, int]) -> None:
        """Bring what is remembered in line with how many messages wait now."""
        for name, count in ready.items():
            head = self._heads.get(name)
            if not count:
                self._heads.pop(name, None)
            elif head is None or count < head.ready or time.monotonic() - head.looked_at > _LOOK_AGAIN_SECONDS:
                await self._look(name, count)
            else:
                self._heads[name] = _Head(count, head.failed_at, head.looked_at)

    async def _look(self, name: str, count: int) -> None:
        try:
            # Whoever works on the queue goes first; a number can wait for the next time.
            async with opened(self._url, name, patience=1) as box:
                async for taken in box.look(1):
                    self._heads[name] = _Head(count, taken.letter.failed_at, time.monotonic())
        except (ConflictError, UnavailableError) as error:
            log.info("dead_letters.head_unknown", queue=name, error=error.detail)
