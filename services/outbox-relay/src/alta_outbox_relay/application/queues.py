"""How queues are doing."""

from collections.abc import Mapping, Sequence

from alta_common.clock import utc_now
from alta_common.messaging.topology import QUEUES, RETRY_LADDER, dead_queue_of
from alta_outbox_relay.application.dead_letter_heads import DeadLetterHeads
from alta_outbox_relay.application.partitions import Partitions
from alta_outbox_relay.broker.counts import QueueCounter
from alta_outbox_relay.broker.management import ManagementApi
from alta_outbox_relay.models.queue import Queue, QueueCount, QueueFacts, QueueKind, QueueState


def known_queues() -> list[Queue]:
    """Return the queues of the topology: work queues, their dead letters, and the rungs of the retry ladder."""
    return [
        *(Queue(name, QueueKind.WORK) for name in QUEUES),
        *(Queue(rung.name, QueueKind.RETRY) for rung in RETRY_LADDER),
        *(Queue(dead_queue_of(name), QueueKind.DEAD) for name in QUEUES),
    ]


class QueueOperations:
    """Measures all queues. Without a management API nobody knows what is unacknowledged."""

    def __init__(
        self, counter: QueueCounter, management: ManagementApi | None, heads: DeadLetterHeads, queues: Sequence[Queue]
    ) -> None:
        self._counter = counter
        self._management = management
        self._heads = heads
        self._queues = tuple(queues)
        self._partitions = Partitions(counter)

    @property
    def is_complete(self) -> bool:
        """Say whether there is a management API to ask."""
        return self._management is not None

    async def measure(self) -> list[QueueState]:
        """Return every queue with its numbers. Raises `BrokerUnavailableError`."""
        facts = await self._management.facts() if self._management else {}
        queues = [*self._queues, *await self._partitions.find(facts)]
        counts = await self._counter.count(queue.name for queue in queues)
        dead = {queue.name: counts[queue.name] for queue in queues if queue.kind is QueueKind.DEAD}
        await self._heads.follow({name: count.ready for name, count in dead.items() if count is not None})
        return [self._state(queue, counts[queue.name], facts) for queue in queues]

    def _state(self, queue: Queue, count: QueueCount | None, facts: Mapping[str, QueueFacts]) -> QueueState:
        if count is None:
            return QueueState(queue.name, queue.kind, False, None, None, None, None)
        known = facts.get(queue.name)
        return QueueState(
            name=queue.name,
            kind=queue.kind,
            is_declared=True,
            ready=count.ready,
            unacknowledged=known.unacknowledged if known else None,
            consumers=count.consumers,
            head_age_seconds=self._head_age(queue, count.ready),
        )

    def _head_age(self, queue: Queue, ready: int) -> float | None:
        # Quorum queues do not tell it (RabbitMQ 3.10 to 4.3). A 0 while they are empty would be of no use: the number
        # would be gone when something waits.
        if queue.kind is not QueueKind.DEAD:
            return None
        if not ready:
            return 0.0
        failed_at = self._heads.failed_at(queue.name)
        return max(0.0, (utc_now() - failed_at).total_seconds()) if failed_at else None
