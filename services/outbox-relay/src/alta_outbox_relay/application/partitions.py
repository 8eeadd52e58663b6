"""Which partitions the queues of ordered consumers have: their consumers decide, and the broker knows."""

import re
import time
from collections.abc import Iterable

from alta_common.messaging.partitions import line_of, partition_of
from alta_common.messaging.topology import QUEUES
from alta_outbox_relay.broker.counts import QueueCounter
from alta_outbox_relay.models.queue import Queue, QueueKind

_NAME = re.compile(f"({'|'.join(map(re.escape, QUEUES))})\\.(?:line|p(\\d+))")
# The broker logs each question after a queue that is not there.
_LOOK_AGAIN_SECONDS = 600.0


class Partitions:
    """Remembers the partitions; looks again now and then, or whenever somebody has a list of all queues."""

    def __init__(self, counter: QueueCounter) -> None:
        self._counter = counter
        self._found: list[Queue] = []
        self._looked_at: float | None = None

    async def find(self, names: Iterable[str]) -> list[Queue]:
        """Return the partitions among `names`, or, when there are none to look through, those that the broker has."""
        known = list(names)
        if known:
            found = [match for match in map(_NAME.fullmatch, known) if match]
            return [_queue(match[0]) for match in sorted(found, key=_place)]
        if self._looked_at is None or time.monotonic() - self._looked_at > _LOOK_AGAIN_SECONDS:
            self._found = [_queue(name) for queue in QUEUES for name in await self._ask(queue)]
            self._looked_at = time.monotonic()
        return self._found

    async def _ask(self, queue: str) -> list[str]:
        there: list[str] = []
        name = line_of(queue)
        while (await self._counter.count([name]))[name] is not None:
            there.append(name)
            name = partition_of(queue, len(there) - 1)
        return there


def _place(match: re.Match[str]) -> tuple[str, int]:
    """Return where a queue stands in a list: behind the line come the partitions, by their numbers."""
    return match[1], int(match[2] or -1)


def _queue(name: str) -> Queue:
    return Queue(name, QueueKind.WORK)
