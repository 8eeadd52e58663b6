"""What is read from an outbox next: ahead of what is being sent, a bounded number, and from every shard its part.

Ids become visible out of order, yet an aggregate's events are written one transaction after the other: who sees one of
them sees all before it. So that this holds for what is read too, a read never begins beyond what is `swept`: up to
there, everything that will ever be visible was read. What was read above it is told to the statement, and passed over.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from alta_common.contracts.event import MAX_EVENT_BYTES
from alta_outbox_relay.event import PendingEvent
from alta_outbox_relay.lanes import Lanes
from alta_outbox_relay.low_water import LowWater
from alta_outbox_relay.session import OutboxSession, Wanted

BUFFER_EVENTS = 2000
"""Read and not sent, over all shards."""
BUFFER_BYTES = 32 * 1024 * 1024
"""The same in bytes, about: events are taken to be as large as the last ones were."""
_FEWEST_PER_SHARD = 16

_OBSERVE_SECONDS = 0.03
_LOOK_SECONDS = 0.1
_FIRST_POLL_SECONDS = 0.01
_FULL_LOOK_SECONDS = 60.0
_MOST_FOUND = 256


class Reader:
    """Reads the shards that it is told to `serve`."""

    def __init__(self, session: OutboxSession, lanes: Lanes, low_water: LowWater, poll_seconds: float) -> None:
        self._session = session
        self._lanes = lanes
        self._low_water = low_water
        self._poll_seconds = poll_seconds
        self._shards: tuple[int, ...] = ()
        self._swept: dict[int, int] = {}
        # Shards in which failed events hold others back: what is passed over there must be read again some day, so
        # nothing of them is swept. The value changes with each failure.
        self._failing: dict[int, object] = {}
        # Per shard the highest id that was read.
        self._highest: dict[int, int] = {}
        # Shards that have more than the last read brought.
        self._more: set[int] = set()
        self._woken = False
        self._bytes_each: float = MAX_EVENT_BYTES
        self._poll_wait = poll_seconds
        self._look_at = 0.0
        self._full_look_at = time.monotonic() + _FULL_LOOK_SECONDS
        self._observe_at = 0.0

    @property
    def highest(self) -> dict[int, int]:
        """Return per shard the id up to which it was read, of shards with something in memory."""
        lanes = self._lanes
        return {
            shard: number for shard, number in self._highest.items() if lanes.buffered[shard] or lanes.at_risk[shard]
        }

    def serve(self, shards: Iterable[int]) -> None:
        """Read these shards from now on; those that are new from their start."""
        before, self._shards = set(self._shards), tuple(shards)
        for shard in set(self._shards) ^ before:
            self._rewind(shard)
            self._highest.pop(shard, None)
            self._more.discard(shard)
        self.wake()

    def replayed(self) -> None:
        """Read everything from the start: old events were put back, or released."""
        for shard in self._shards:
            self._rewind(shard)
        self.wake()
        self._look_at = 0.0

    def refused(self, shard: int) -> None:
        """An event of this shard failed, and what is behind it is passed over until it is confirmed or parked."""
        self._failing[shard] = object()
        self._swept.pop(shard, None)

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

    def can_read(self) -> bool:
        """Say whether there is more, and room for it."""
        if not self._shards:
            return False
        buffered, half = self._lanes.buffered, self._share() // 2
        if self._woken:
            return any(buffered[shard] <= half for shard in self._shards)
        return any(buffered[shard] <= half for shard in self._more)

    async def read(self) -> None:
        """Read on, if there is more and room for it."""
        if self.can_read():
            await self._read_on()

    async def look(self) -> None:
        """Read what is due, and find what no wake-up told of, when it is time to."""
        if time.monotonic() >= self._look_at:
            await self._look()

    async def observe(self) -> None:
        """See, now and then, whether what was read is all that there will be: then later reads begin after it."""
        now = time.monotonic()
        if now >= self._observe_at and self._low_water.settled < max(self._highest.values(), default=0):
            self._observe_at = now + _OBSERVE_SECONDS
            await self._low_water.observe()

    async def settle_failing(self) -> None:
        """See which shards have failed events. To be called when all failures are written down."""
        before = dict(self._failing)
        if before:
            failing = await self._session.failing_shards()
            for shard, token in before.items():
                if shard not in failing and self._failing.get(shard) is token:
                    # What was released is above the mark, where the next read begins.
                    del self._failing[shard]

    def _rewind(self, shard: int, mark: int = 0) -> None:
        self._low_water.lower(shard, mark)
        self._swept.pop(shard, None)
        # Whether anything has failed there is for the table to say.
        self._failing[shard] = object()

    def _share(self) -> int:
        """Return how much of a shard may be in memory and not sent. None can take what is another one's."""
        events = min(BUFFER_EVENTS, int(BUFFER_BYTES / self._bytes_each))
        return max(_FEWEST_PER_SHARD, events // len(self._shards))

    async def _read_on(self) -> None:
        lanes, share = self._lanes, self._share()
        candidates: Sequence[int] = self._shards if self._woken else tuple(self._more)
        wanted = self._wanted({shard: share - lanes.buffered[shard] for shard in candidates})
        # What is full is read when it has been sent: it has more until a read says otherwise.
        self._more.update(candidates)
        self._woken = False
        settled = self._low_water.settled
        events = await self._session.fetch(wanted)
        self._note(wanted, events, settled)
        self._look_at = min(self._look_at, time.monotonic() + _LOOK_SECONDS)
        events.sort(key=_by_id)
        lanes.add(events)

    def _wanted(self, limits: dict[int, int]) -> list[Wanted]:
        """Return where to begin in each shard, and what to pass over from there on."""
        after = {shard: self._after(shard) for shard, limit in limits.items() if limit > 0}
        lowest = min(after.values())
        known: dict[int, list[int]] = defaultdict(list)
        for number, shard in self._lanes.known.items():
            if number > lowest and number > after.get(shard, math.inf):
                known[shard].append(number)
        return [Wanted(shard, start, limits[shard], known[shard]) for shard, start in after.items()]

    def _after(self, shard: int) -> int:
        return max(self._low_water.mark(shard), self._swept.get(shard, 0))

    def _note(self, wanted: Sequence[Wanted], events: Sequence[PendingEvent], settled: int) -> None:
        """Note how far each shard was read, and which have more. What was `settled` before was all to be seen."""
        counts = dict.fromkeys((one.shard for one in wanted), 0)
        last: dict[int, int] = {}
        for event in events:
            counts[event.shard] += 1
            last[event.shard] = event.id
        for one in wanted:
            shard = one.shard
            reached = settled
            if shard in last:
                self._highest[shard] = max(self._highest.get(shard, 0), last[shard])
            if counts[shard] < one.limit:
                self._more.discard(shard)
            else:
                reached = min(settled, last[shard])
            if shard not in self._failing:
                self._swept[shard] = max(self._swept.get(shard, 0), reached)
        if events:
            size = sum(len(event.body) for event in events) / len(events)
            self._bytes_each = max(size, (size + self._bytes_each) / 2)

    async def _look(self) -> None:
        started = time.monotonic()
        known = self._lanes.known
        everything = started >= self._full_look_at
        ranges = [self._range(shard, everything) for shard in self._shards]
        found = [one for one in await self._session.look(ranges) if one.id not in known]
        took = time.monotonic() - started
        if everything:
            self._full_look_at = started + max(_FULL_LOOK_SECONDS, 200 * took)
        for one in found:
            if not one.is_due:
                # Put back without a word, or committed without one.
                if one.id <= self._after(one.shard):
                    self._rewind(one.shard, one.id - 1)
                self.wake()
        self._poll_wait = _FIRST_POLL_SECONDS if found else min(self._poll_seconds, self._poll_wait * 2)
        self._look_at = started + max(self._poll_wait, min(1.0, 50 * took), 10 * took)
        due = [(one.shard, one.id) for one in found if one.is_due]
        if not due:
            return
        free = max(_MOST_FOUND, BUFFER_EVENTS - self._lanes.buffered_total)
        events = await self._session.fetch_these(due[:free])
        events.sort(key=_by_id)
        self._lanes.add(events)

    def _range(self, shard: int, everything: bool) -> tuple[int, int, int, int]:
        # Enough to show one that is not known, behind all that are.
        count = self._lanes.buffered[shard] + self._lanes.at_risk[shard] + 1
        if everything:
            return shard, 0, count, count + _MOST_FOUND
        return shard, self._after(shard), 0 if shard in self._more else count, count + _MOST_FOUND


def _by_id(event: PendingEvent) -> int:
    return event.id
