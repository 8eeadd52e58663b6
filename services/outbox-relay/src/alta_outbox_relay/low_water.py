"""Below which id nothing is left in a shard, and below which nothing new can appear.

Deleted rows stay in the index until vacuum may remove them, and a long transaction anywhere in the cluster forbids
that. A relay that began each walk at the start of its shard would cross all of them every time.

Ids are not committed in their order: id 7 may become visible after id 9 was published. So a mark may only pass an id
when no transaction that could still bring a lower one is open. A transaction gets its ids after it has locked the
table for writing, and keeps that lock to its end: once all who held it when id N was the last one handed out have
ended, everything up to N is visible or never will be: N is settled.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from alta_outbox_relay.session import OutboxSession


@dataclass(frozen=True, slots=True)
class _Observation:
    last_id: int
    writers: frozenset[str]


class LowWater:
    """The marks of one session's shards; a shard without one is walked from its start."""

    def __init__(self, session: OutboxSession) -> None:
        self.settled = 0
        """What a statement that begins now does not see up to this id will never be seen."""
        self._session = session
        self._marks: dict[int, int] = {}
        self._lowered = 0
        self._observation: _Observation | None = None

    def mark(self, shard: int) -> int:
        """Return the id up to which nothing is left in a shard."""
        return self._marks.get(shard, 0)

    def marks(self, shards: Iterable[int]) -> list[tuple[int, int]]:
        """Return shards with their marks."""
        return [(shard, self.mark(shard)) for shard in shards]

    def lower(self, shard: int, mark: int = 0) -> None:
        """Begin at this id again: old events have been put back, or the shard was ours no longer."""
        self._marks[shard] = min(mark, self.mark(shard))
        self._lowered += 1

    async def observe(self) -> None:
        """Raise `settled` as far as it is safe."""
        last_id, writers = await self._session.last_id_and_writers()
        if self._observation is not None and not (self._observation.writers & writers):
            self.settled = self._observation.last_id
            self._observation = None
        if not writers:
            self.settled = last_id
            self._observation = None
        elif self._observation is None:
            self._observation = _Observation(last_id, writers)

    async def advance(self, shards: Iterable[int]) -> None:
        """Raise the marks as far as it is safe."""
        await self.observe()
        marks = self.marks(shards)
        # From the start of a shard it may take long, so one at a time: a statement that times out ends the session.
        parts = [[one for one in marks if one[1]], *([one] for one in marks if not one[1])]
        for part in parts:
            if part:
                await self._raise(part)

    async def _raise(self, marks: list[tuple[int, int]]) -> None:
        settled, lowered = self.settled, self._lowered
        first = await self._session.first_pending(marks)
        if lowered != self._lowered:
            # Something was put back meanwhile, perhaps too late for the statement to see it.
            return
        for shard, pending in first.items():
            reached = settled if pending is None else min(settled, pending - 1)
            self._marks[shard] = max(self.mark(shard), reached)
