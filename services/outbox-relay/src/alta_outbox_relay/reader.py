"""What is read from an outbox next: ahead of what is being sent, a bounded number, and from every shard its part."""

import math
import time
from collections.abc import Iterable, Sequence

from alta_outbox_relay.event import PendingEvent
from alta_outbox_relay.lanes import Lanes
from alta_outbox_relay.low_water import LowWater
from alta_outbox_relay.session import OutboxSession

BUFFER_EVENTS = 3000
"""Read and not sent, over all shards."""
_BUFFER_BYTES = 32 * 1024 * 1024
_FEWEST_PER_SHARD = 16

# With few ids in memory, each read begins at the low-water marks and is told these ids: what becomes visible late is
# found by the wake-up that announces it. With many, reads go on from where the last one ended, and looks find the late.
_FEW_KNOWN = 256
# A read from the marks that finds little and takes long is crossing what waits behind failed events.
_SLOW_SECONDS = 0.02

_LOOK_SECONDS = 0.05
_FULL_LOOK_SECONDS = 60.0
_FIRST_POLL_SECONDS = 0.01


class Reader:
    """Reads the shards that it is told `serve`."""

    def __init__(self, session: OutboxSession, lanes: Lanes, low_water: LowWater, poll_seconds: float) -> None:
        self._session = session
        self._lanes = lanes
        self._low_water = low_water
        self._poll_seconds = poll_seconds
        self._shards: tuple[int, ...] = ()
        # Per shard the id up to which it was read.
        self._cursors: dict[int, int] = {}
        # Shards that have more than the last read brought.
        self._more: set[int] = set()
        self._woken = False
        self._bytes_each = 1024.0
        self._poll_wait = poll_seconds
        self._look_at = 0.0
        self._looked_at = 0.0
        self._look_took = 0.0
        self._full_look_at = time.monotonic() + _FULL_LOOK_SECONDS
        self._cursors_until = 0.0

    @property
    def highest(self) -> dict[int, int]:
        """Return per shard the id up to which it was read, of shards with something in memory."""
        lanes = self._lanes
        return {
            shard: number
            for shard, number in self._cursors.items()
            if number and (lanes.buffered[shard] or lanes.at_risk[shard])
        }

    def serve(self, shards: Iterable[int]) -> None:
        """Read these shards from now on; those that are new from their start."""
        before, self._shards = set(self._shards), tuple(shards)
        for shard in set(self._shards) ^ before:
            self.restart(shard)
        self.wake()

    def restart(self, shard: int) -> None:
        """Read a shard from its start: old events may have been put back."""
        self._low_water.forget(shard)
        self._cursors.pop(shard, None)
        self._more.discard(shard)

    def replayed(self) -> None:
        """Read everything from the start: old events were put back."""
        for shard in self._shards:
            self._low_water.forget(shard)
        self.wake()
        self._look_at = 0.0

    def wake(self) -> None:
        """There may be something to read."""
        self._woken = True

    def look_at(self, moment: float) -> None:
        """Something is due at this moment (`time.monotonic`)."""
        self._look_at = min(self._look_at, moment)

    def next_at(self, now: float) -> float:
        """Return when there is something to read; `now` or before is at once, infinity is not before more is sent."""
        if not self._shards:
            return math.inf
        if self.can_read():
            return now
        return self._look_at

    async def read(self) -> int:
        """Read what is due into the lanes; return how many events that brought."""
        if self.can_read():
            return await self._read_on()
        return await self._look()

    def can_read(self) -> bool:
        """Say whether there is more, and room for it."""
        if not self._shards:
            return False
        buffered, half = self._lanes.buffered, self._share() // 2
        if self._woken:
            return any(buffered[shard] <= half for shard in self._shards)
        return any(buffered[shard] <= half for shard in self._more)

    def _share(self) -> int:
        """Return how much of a shard may be in memory and not sent. None can take what is another one's."""
        events = min(BUFFER_EVENTS, int(_BUFFER_BYTES / self._bytes_each))
        return max(_FEWEST_PER_SHARD, events // len(self._shards))

    async def _read_on(self) -> int:
        lanes, share, known = self._lanes, self._share(), self._lanes.known
        started = time.monotonic()
        from_marks = len(known) <= _FEW_KNOWN and started >= self._cursors_until
        candidates: Sequence[int] = self._shards if self._woken else tuple(self._more)
        wanted = [(shard, self._after(shard, from_marks), share - lanes.buffered[shard]) for shard in candidates]
        wanted = [one for one in wanted if one[2] > 0]
        # What is full is read when it has been sent: it has more until a read says otherwise.
        self._more.update(candidates)
        self._woken = False
        events = await self._session.fetch(wanted, known if from_marks else ())
        self._note(wanted, events)
        took = time.monotonic() - started
        if from_marks and took > _SLOW_SECONDS and len(events) < _FEW_KNOWN:
            self._cursors_until = started + 20 * took
        # Look soon: what is visible may be less than what was committed.
        self._look_at = min(self._look_at, self._looked_at + max(_LOOK_SECONDS, _pause_after(self._look_took)))
        events.sort(key=_by_id)
        return lanes.add(events)

    def _after(self, shard: int, from_marks: bool) -> int:
        mark = self._low_water.mark(shard)
        return mark if from_marks else max(mark, self._cursors.get(shard, 0))

    def _note(self, wanted: Sequence[tuple[int, int, int]], events: Sequence[PendingEvent]) -> None:
        """Note how far each shard was read, and which have more."""
        counts = dict.fromkeys((shard for shard, _, _ in wanted), 0)
        last: dict[int, int] = {}
        for event in events:
            counts[event.shard] += 1
            last[event.shard] = event.id
        end = max(last.values(), default=0)
        for shard, _, limit in wanted:
            if counts[shard] < limit:
                # As far as the others: what held events lie on the way need not be crossed again by every read.
                self._more.discard(shard)
                last[shard] = end
            self._cursors[shard] = max(self._cursors.get(shard, 0), last.get(shard, 0))
        if events:
            size = sum(len(event.body) for event in events) / len(events)
            self._bytes_each += 0.2 * (size - self._bytes_each)

    async def _look(self) -> int:
        """Find what has become visible late, what is due, and what no wake-up told of."""
        started = time.monotonic()
        known = self._lanes.known
        everything = started >= self._full_look_at
        few = len(known) <= _FEW_KNOWN
        limit = len(known) + _FEW_KNOWN
        ranges = [
            (
                shard,
                0 if everything else self._low_water.mark(shard),
                _HIGHEST if few else self._cursors.get(shard, 0),
                limit,
            )
            for shard in self._shards
        ]
        found = [one for one in await self._session.look(ranges) if one[1] not in known]
        self._looked_at, self._look_took = started, (took := time.monotonic() - started)
        if everything:
            self._full_look_at = started + max(_FULL_LOOK_SECONDS, 200 * took)
        free = max(_FEW_KNOWN, BUFFER_EVENTS - self._lanes.buffered_total)
        self._poll_wait = _FIRST_POLL_SECONDS if found else min(self._poll_seconds, self._poll_wait * 2)
        self._look_at = started + max(self._poll_wait, _pause_after(took))
        if not found:
            return 0
        # What no wake-up told of may be more than this.
        self._woken = self._woken or few
        events = await self._session.fetch_these(found[:free])
        events.sort(key=_by_id)
        return self._lanes.add(events)


_HIGHEST = 2**63 - 1


def _pause_after(took: float) -> float:
    """Return the pause after a look: some 2 % of the time go into them, but one a second there is."""
    return max(min(1.0, 50 * took), 10 * took)


def _by_id(event: PendingEvent) -> int:
    return event.id
