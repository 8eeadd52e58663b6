"""What is read from an outbox next: ahead of what is being sent, a bounded number, and from every shard its part.

Ids become visible out of order, yet an aggregate's events are written one transaction after the other: who sees one of
them sees all before it. So that this holds for what is read too, a read never begins beyond what is `swept`: up to
there, everything that will ever be visible was read. What was read above it is told to the statement, and passed over.

What is behind a failed event of its aggregate is passed over too, and swept all the same: once that event is confirmed
or parked, the next read begins where it was.

A scheduled event that is due, and a failed one whose next attempt is, has its place in line by its id. So it is read in
one statement with the line, and never before what has a lower id in its shard.
"""

import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from alta_common.contracts.event import MAX_EVENT_BYTES
from alta_outbox_relay.event import PendingEvent
from alta_outbox_relay.lanes import Lanes
from alta_outbox_relay.low_water import LowWater
from alta_outbox_relay.session import Found, OutboxSession, Wanted

BUFFER_EVENTS = 2000
"""Read and not sent, over all shards."""
BUFFER_BYTES = 32 * 1024 * 1024
"""The same in bytes, about: events are taken to be as large as the last ones were."""
_FEWEST_PER_SHARD = 16

_OBSERVE_SECONDS = 0.03
_LOOK_SECONDS = 0.1
_FIRST_POLL_SECONDS = 0.01
_FULL_LOOK_SECONDS = 60.0
_SLOW_SECONDS = 1.0


class Reader:
    """Reads the shards that it is told to `serve`."""

    def __init__(self, session: OutboxSession, lanes: Lanes, low_water: LowWater, poll_seconds: float) -> None:
        self._session = session
        self._lanes = lanes
        self._low_water = low_water
        self._poll_seconds = poll_seconds
        self._shards: tuple[int, ...] = ()
        self._swept: dict[int, int] = {}
        # How often a read was told to begin earlier; one that was out meanwhile sweeps nothing.
        self._rewinds = 0
        self._reads = 0
        # How long the last read took that began at the start of a shard.
        self._from_start_seconds = math.inf
        # Per shard the highest id that was read.
        self._highest: dict[int, int] = {}
        # Shards that have more than the last read brought.
        self._more: set[int] = set()
        # Shards in which something is due, and when (`time.monotonic`) the next will be in others. Never too late.
        self._due: set[int] = set()
        self._next_due: dict[int, float] = {}
        self._woken = False
        # Shards of which a wake-up has told.
        self._named: set[int] = set()
        self._bytes_each: float = MAX_EVENT_BYTES
        self._poll_wait = poll_seconds
        self._look_at = 0.0
        self._full_look_at = time.monotonic() + _FULL_LOOK_SECONDS
        self._full_looks = 0
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
            self._named.discard(shard)
            self._due.discard(shard)
            self._next_due.pop(shard, None)
        self.wake()
        self._look_at = 0.0

    def replayed(self, first: int = 1) -> None:
        """Read from this id on again: old events were put back, or released."""
        for shard in self._shards:
            self._rewind(shard, first - 1)
        self.wake()
        self._look_at = 0.0

    def released(self, event: PendingEvent) -> None:
        """Read what is behind this event of its aggregate: it was passed over while the event had failed."""
        if event.shard in self._shards:
            self._sweep_back(event.shard, event.id - 1)
            self._more.add(event.shard)
            self._due.add(event.shard)

    def wake(self, shards: Iterable[int] | None = None) -> None:
        """There may be something to read, in these shards or in any."""
        if shards is None:
            self._woken = True
        else:
            self._named.update(shard for shard in shards if shard in self._shards)

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
        return any(buffered[shard] <= half for shard in self._candidates())

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

    def _rewind(self, shard: int, mark: int = 0) -> None:
        self._low_water.lower(shard, mark)
        self._sweep_back(shard, mark)

    def _sweep_back(self, shard: int, mark: int) -> None:
        self._swept[shard] = min(mark, self._swept.get(shard, 0))
        self._rewinds += 1

    def _share(self) -> int:
        """Return how much of a shard may be in memory and not sent. None can take what is another one's."""
        events = min(BUFFER_EVENTS, int(BUFFER_BYTES / self._bytes_each))
        return max(_FEWEST_PER_SHARD, events // len(self._shards))

    async def _read_on(self) -> None:
        lanes, share = self._lanes, self._share()
        candidates = self._candidates()
        wanted = self._wanted({shard: share - lanes.buffered[shard] for shard in candidates})
        # What is full is read when it has been sent: it has more until a read says otherwise.
        self._more.update(candidates)
        self._woken = False
        self._named.clear()
        settled, rewinds = self._low_water.settled, self._rewinds
        started = time.monotonic()
        events = await self._session.fetch(wanted)
        if any(not one.after for one in wanted):
            self._from_start_seconds = time.monotonic() - started
        self._note(wanted, events, settled if rewinds == self._rewinds else 0)
        self._look_at = min(self._look_at, time.monotonic() + _LOOK_SECONDS)
        events.sort(key=_by_id)
        lanes.add(events)

    def _candidates(self) -> Collection[int]:
        """Return the shards in which there may be more."""
        return self._shards if self._woken else self._more | self._named

    def _wanted(self, limits: dict[int, int]) -> list[Wanted]:
        """Return where to begin in each shard, and what to pass over from there on."""
        after = {shard: self._after(shard) for shard, limit in limits.items() if limit > 0}
        if self._from_start_seconds > _SLOW_SECONDS:
            self._keep_one_unread(after)
        due = self._may_have_due(after)
        # What is due may be anywhere.
        starts = {shard: 0 if shard in due else start for shard, start in after.items()}
        lowest = min(starts.values())
        known: dict[int, list[int]] = defaultdict(list)
        for number, shard in self._lanes.known.items():
            if number > lowest and number > starts.get(shard, math.inf):
                known[shard].append(number)
        return [Wanted(shard, start, limits[shard], known[shard], shard in due) for shard, start in after.items()]

    def _may_have_due(self, shards: Iterable[int]) -> set[int]:
        """Return where something may be due; everywhere when it is long since it was time to look (an outage)."""
        now = time.monotonic()
        if now > self._look_at + _LOOK_SECONDS:
            return set(shards)
        return self._due.union(shard for shard, moment in self._next_due.items() if moment <= now)

    def _keep_one_unread(self, after: dict[int, int]) -> None:
        """Of shards that are read from their start, keep one, another each time.

        Much of them may be gone and not vacuumed away, and a statement that times out ends the session.
        """
        unread = [shard for shard, start in after.items() if not start]
        self._reads += 1
        for number, shard in enumerate(unread):
            if number != self._reads % len(unread):
                del after[shard]

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
                if one.has_due:
                    self._due.discard(shard)
            else:
                reached = min(settled, last[shard])
            self._swept[shard] = max(self._swept.get(shard, 0), reached)
        if events:
            size = sum(len(event.body) for event in events) / len(events)
            self._bytes_each = max(size, (size + self._bytes_each) / 2)

    async def _look(self) -> None:
        started = time.monotonic()
        # Now and then from the start of a shard, one after the other.
        whole = self._shards[self._full_looks % len(self._shards)] if started >= self._full_look_at else None
        looked = await self._session.look([self._range(shard, shard == whole) for shard in self._shards])
        took = time.monotonic() - started
        if whole is not None:
            self._full_looks += 1
            self._full_look_at = started + max(_FULL_LOOK_SECONDS / len(self._shards), 200 * took)
        known = self._lanes.known
        found = [one for one in looked if one.id not in known]
        self._next_due = {one.shard: started + one.due_in for one in found if one.due_in is not None and one.due_in > 0}
        may_go = [one for one in found if one.due_in is None or one.due_in <= 0]
        for one in may_go:
            self._note_found(one)
        self._poll_wait = _FIRST_POLL_SECONDS if may_go else min(self._poll_seconds, self._poll_wait * 2)
        self._look_at = started + max(self._poll_wait, min(1.0, 50 * took), 10 * took)
        if self._next_due:
            soonest = started + max(_FIRST_POLL_SECONDS, 10 * took)
            self._look_at = min(self._look_at, max(soonest, min(self._next_due.values())))

    def _note_found(self, one: Found) -> None:
        if one.due_in is not None:
            self._due.add(one.shard)
            self._more.add(one.shard)
            return
        # Put back without a word, or committed without one.
        if one.id <= self._after(one.shard):
            self._rewind(one.shard, one.id - 1)
        self.wake()

    def _range(self, shard: int, whole: bool) -> tuple[int, int, int, int]:
        # Enough to show one that is not known, behind all that are.
        count = self._lanes.buffered[shard] + self._lanes.at_risk[shard] + 1
        if whole:
            return shard, 0, count, count
        return shard, self._after(shard), 0 if shard in self._more else count, 0 if shard in self._due else count


def _by_id(event: PendingEvent) -> int:
    return event.id
