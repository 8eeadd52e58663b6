"""What a relay has in memory, and what of it may go out now: one event of an aggregate at a time.

Nothing here waits or knows of the network. Events come in by `add`, go out by `take`, and each that was taken ends in
one of four ways: `confirm`, `refuse`, `give_up` or `put_back`. An event's id is known from `add` until what became of
it has been written down (`struck_out`, `settle`), so one that is read twice meanwhile is sent once.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from uuid import UUID

from alta_common.outbox.table import SHARDS
from alta_outbox_relay.event import PendingEvent

_Lane = deque[PendingEvent]
_BY_ID = attrgetter("id")

# Two kinds of lanes that hold nothing, told apart by identity; most aggregates have one event at a time, and no queue.
_ALONE: _Lane = deque()
_HELD: _Lane = deque(maxlen=0)


class Lanes:
    """The events of one outbox that are in memory. Per aggregate, `take` gives them out one by one, in id order."""

    def __init__(self) -> None:
        self.buffered = [0] * SHARDS
        """Per shard: in memory, not sent."""
        self.at_risk = [0] * SHARDS
        """Per shard: sent, and what became of it is not written down. A crash would send these again."""
        self.buffered_total = 0
        self.at_risk_total = 0
        self.unconfirmed = 0
        self._known: dict[int, int] = {}
        # An aggregate has a lane while one of its events is ready, or sent, or refused. The first one is not in it.
        self._lanes: dict[UUID, _Lane] = {}
        self._ready: deque[PendingEvent] = deque()
        self._shut: set[int] = set()
        # Per aggregate with a refused event the first one that was dropped, or passed over, because of it.
        self._passed_over: dict[UUID, PendingEvent] = {}

    @property
    def known(self) -> Mapping[int, int]:
        """Return the ids that are in memory or at risk, with their shards."""
        return self._known

    @property
    def ready(self) -> int:
        """Return how many events may go out now."""
        return len(self._ready)

    def add(self, events: Iterable[PendingEvent]) -> int:
        """Take in what was read, in id order; return how many were new.

        Passed over are ids that are known, shards that are shut, and aggregates with a refused event: what is behind
        that is read again once the failure is written down.
        """
        known, lanes, buffered = self._known, self._lanes, self.buffered
        before = len(known)
        for event in events:
            number, aggregate = event.id, event.aggregate_id
            if number in known or event.shard in self._shut:
                continue
            lane = lanes.get(aggregate)
            if lane is None:
                lanes[aggregate] = _ALONE
                self._ready.append(event)
            elif lane is _HELD:
                self._pass_over(event)
                continue
            elif lane is _ALONE:
                lanes[aggregate] = deque((event,))
            elif number > lane[-1].id:
                lane.append(event)
            else:
                insort(lane, event, key=_BY_ID)
            known[number] = event.shard
            buffered[event.shard] += 1
        added = len(known) - before
        self.buffered_total += added
        return added

    def take(self, count: int) -> list[PendingEvent]:
        """Return up to `count` events to send now."""
        ready = self._ready
        if count >= len(ready):
            events = list(ready)
            ready.clear()
        else:
            events = [ready.popleft() for _ in range(count)]
        buffered, at_risk = self.buffered, self.at_risk
        for event in events:
            buffered[event.shard] -= 1
            at_risk[event.shard] += 1
        self.buffered_total -= len(events)
        self.at_risk_total += len(events)
        self.unconfirmed += len(events)
        return events

    def confirm(self, events: Sequence[PendingEvent]) -> None:
        """Let the next of each aggregate go; the confirmed ones stay at risk until `struck_out`."""
        for event in events:
            self._advance(event.aggregate_id)
        self.unconfirmed -= len(events)

    def give_up(self, event: PendingEvent) -> None:
        """Let the next go: a faulty event is never published, so nothing overtakes it. Then `settle` it."""
        self._advance(event.aggregate_id)
        self.unconfirmed -= 1

    def refuse(self, event: PendingEvent) -> None:
        """Hold the aggregate of an event that will be tried again until `settle`; drop what is behind it."""
        lane = self._lanes[event.aggregate_id]
        self._lanes[event.aggregate_id] = _HELD
        if lane:
            self._pass_over(lane[0])
        self._drop(lane)
        self.unconfirmed -= 1

    def put_back(self, events: Sequence[PendingEvent]) -> None:
        """Make events ready again whose fate is unknown, before all others."""
        for event in events:
            self.at_risk[event.shard] -= 1
            self.buffered[event.shard] += 1
        self.unconfirmed -= len(events)
        self.at_risk_total -= len(events)
        self.buffered_total += len(events)
        self._ready.extendleft(reversed(events))
        for shard in self._shut.intersection(event.shard for event in events):
            self.shut(shard)

    def struck_out(self, events: Sequence[PendingEvent]) -> None:
        """Forget events whose deletion has committed."""
        at_risk, known = self.at_risk, self._known
        for event in events:
            at_risk[event.shard] -= 1
            del known[event.id]
        self.at_risk_total -= len(events)

    def settle(self, events: Sequence[PendingEvent], *, refused: bool) -> list[PendingEvent]:
        """Forget failed events once that is written down; release the aggregates of refused ones.

        Returns what was passed over though it comes before the refused one of its aggregate (it was replayed).
        """
        self.struck_out(events)
        earlier = []
        for event in events if refused else ():
            del self._lanes[event.aggregate_id]
            first = self._passed_over.pop(event.aggregate_id, event)
            if first.id < event.id:
                earlier.append(first)
        return earlier

    def shut(self, shard: int) -> None:
        """Take in and give out nothing of this shard any more; what is in memory and not sent is forgotten."""
        self._shut.add(shard)
        dropped = [event for event in self._ready if event.shard == shard]
        if dropped:
            self._ready = deque(event for event in self._ready if event.shard != shard)
        for aggregate, lane in list(self._lanes.items()):
            if lane and lane[0].shard == shard:
                self._lanes[aggregate] = _ALONE
                self._drop(lane)
        for event in dropped:
            del self._lanes[event.aggregate_id]
        self._drop(dropped)

    def open(self, shard: int) -> None:
        """Take back `shut`."""
        self._shut.discard(shard)

    def _advance(self, aggregate: UUID) -> None:
        lanes = self._lanes
        lane = lanes[aggregate]
        if lane is _ALONE:
            del lanes[aggregate]
            return
        self._ready.append(lane.popleft())
        if not lane:
            lanes[aggregate] = _ALONE

    def _pass_over(self, event: PendingEvent) -> None:
        first = self._passed_over.setdefault(event.aggregate_id, event)
        if event.id < first.id:
            self._passed_over[event.aggregate_id] = event

    def _drop(self, events: Iterable[PendingEvent]) -> None:
        for event in events:
            del self._known[event.id]
            self.buffered[event.shard] -= 1
            self.buffered_total -= 1
