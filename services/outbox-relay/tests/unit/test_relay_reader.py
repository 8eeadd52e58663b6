"""Reading beside writers whose transactions overlap, on an outbox in memory that sees what PostgreSQL would show."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from alta_outbox_relay.event import Failure, PendingEvent
from alta_outbox_relay.lanes import Lanes
from alta_outbox_relay.low_water import LowWater
from alta_outbox_relay.policy import RelayPolicy
from alta_outbox_relay.reader import Reader
from alta_outbox_relay.session import Found, Wanted
from alta_outbox_relay.striking import Striker

SHARDS = (0, 1)
POLICY = RelayPolicy(batch_size=8, window=8, poll_seconds=1, max_retries=1, retry_seconds=0)


@dataclass(frozen=True)
class Row:
    id: int
    aggregate: int
    attempts: int = 0
    is_scheduled: bool = False
    is_due: bool = False

    @property
    def shard(self) -> int:
        return self.aggregate % len(SHARDS)

    @property
    def is_waiting(self) -> bool:
        """Say whether it waits for nothing but its turn."""
        return not self.attempts and not self.is_scheduled

    def event(self) -> PendingEvent:
        return PendingEvent(
            *("projects", self.shard, self.id, self.attempts, uuid4(), "T", "e", "k", "a", UUID(int=self.aggregate)),
            *(b"", {}, None, datetime(2026, 1, 1, tzinfo=UTC)),
        )


class MemoryOutbox:
    """The session of a relay, and its writers. Before each answer, and after it, `meanwhile` may change anything."""

    schema = "projects"

    def __init__(self, chance: random.Random, meanwhile: Callable[[], None]) -> None:
        self._chance = chance
        self._meanwhile = meanwhile
        self.last_id = 0
        self.rows: dict[int, Row] = {}
        self.open: dict[str, list[Row]] = {}
        self.committed: dict[int, int] = {}
        """The moments at which they became visible, by a clock that counts."""
        self.due: dict[int, int] = {}
        """The moments at which scheduled ones became due."""
        self.parked: dict[int, Row] = {}
        self.replayed: set[int] = set()
        self._clock = 0
        self._seen: set[int] = set()
        # Of these the relay had seen before that they would be due.
        self._foreseen: set[int] = set()

    def write(self) -> None:
        """Begin a transaction that holds some aggregates until it ends, as a service's would."""
        held = {row.aggregate for rows in self.open.values() for row in rows}
        free = [aggregate for aggregate in range(6) if aggregate not in held]
        rows = []
        for aggregate in self._chance.sample(free, min(len(free), self._chance.randint(1, 3))):
            self.last_id += 1
            rows.append(Row(self.last_id, aggregate, is_scheduled=self._chance.random() < 0.2))
        if rows:
            self.open[f"3/{self.last_id}"] = rows

    def end(self) -> None:
        """Commit one of the transactions, or roll it back."""
        if self.open:
            rows = self.open.pop(self._chance.choice(list(self.open)))
            if self._chance.random() < 0.9:
                self._clock += 1
                self.rows |= {row.id: row for row in rows}
                self.committed |= {row.id: self._clock for row in rows}

    def let_one_be_due(self) -> None:
        """Let the time of a scheduled event come."""
        scheduled = [row for row in self.rows.values() if row.is_scheduled and not row.is_due]
        if scheduled:
            row = self._chance.choice(scheduled)
            self._clock += 1
            self.rows[row.id] = replace(row, is_due=True)
            self.due[row.id] = self._clock
            if row.id in self._seen:
                self._foreseen.add(row.id)

    def replay(self) -> int | None:
        """Put one that was parked back in line, at its old place; return its id."""
        if not self.parked:
            return None
        number = self._chance.choice(list(self.parked))
        self.rows[number] = Row(number, self.parked.pop(number).aggregate)
        self.replayed.add(number)
        return number

    def may_overtake(self, number: int, earlier: int) -> bool:
        """Say whether an event may arrive before one with a lower id: where that one was away, or its time to come."""
        if earlier in self.replayed:
            return True
        if earlier not in self.due or earlier not in self._foreseen:
            return earlier in self.due
        return self.due.get(number, self.committed[number]) < self.due[earlier]

    async def fetch(self, wanted: Sequence[Wanted]) -> list[PendingEvent]:
        self._meanwhile()
        found = []
        for one in wanted:
            rows = [
                row
                for row in self._visible(one.shard)
                if ((row.id > one.after and row.is_waiting) or (row.is_due and one.has_due)) and row.id not in one.known
            ]
            found += rows[: one.limit]
        self._meanwhile()
        return [row.event() for row in found]

    async def look(self, ranges: Sequence[tuple[int, int, int, int]]) -> list[Found]:
        self._meanwhile()
        found = []
        for shard, after, limit, limit_of_due in ranges:
            visible = self._visible(shard)
            found += [Found(shard, row.id, None) for row in visible if row.is_waiting and row.id > after][:limit]
            found += [Found(shard, row.id, 0.0) for row in visible if row.is_due][:limit_of_due]
            # Any moment now.
            scheduled = [row.id for row in self.rows.values() if row.shard == shard and row.is_scheduled]
            later = [number for number in scheduled if not self.rows[number].is_due]
            self._seen.update(later)
            found += [Found(shard, number, 1e-9) for number in later[:1]]
        self._meanwhile()
        return found

    async def last_id_and_writers(self) -> tuple[int, frozenset[str]]:
        last_id = self.last_id
        self._meanwhile()
        return last_id, frozenset(self.open)

    async def first_pending(self, marks: Sequence[tuple[int, int]]) -> dict[int, int | None]:
        self._meanwhile()
        first = {
            shard: min(
                (row.id for row in self.rows.values() if row.shard == shard and row.id > low and row.is_waiting),
                default=None,
            )
            for shard, low in marks
        }
        self._meanwhile()
        return first

    async def delete(self, events: Sequence[PendingEvent], *, durable: bool) -> None:  # noqa: ARG002 - memory has no disk
        for event in events:
            del self.rows[event.id]
        self._meanwhile()

    async def postpone(self, failures: Sequence[Failure], _: Sequence[float]) -> None:
        for failure in failures:
            row = self.rows[failure.event.id]
            self.rows[row.id] = replace(row, attempts=row.attempts + 1, is_due=True)
        self._meanwhile()

    async def park(self, failures: Sequence[Failure]) -> None:
        for failure in failures:
            self.parked[failure.event.id] = self.rows.pop(failure.event.id)
        self._meanwhile()

    def _visible(self, shard: int) -> list[Row]:
        failed = {row.aggregate: row.id for row in self.rows.values() if row.attempts}
        return sorted(
            (row for row in self.rows.values() if row.shard == shard and row.id <= failed.get(row.aggregate, row.id)),
            key=lambda row: row.id,
        )


class Relay:
    """The parts of a relay, worked in any order that a pipeline could."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.outbox = MemoryOutbox(self.random, self.meanwhile)
        self.lanes = Lanes()
        self.low_water = LowWater(self.outbox)
        self.reader = Reader(self.outbox, self.lanes, self.low_water, poll_seconds=1)
        self.striker = Striker(self.outbox, self.lanes, POLICY, self.reader.released)
        self.sent: list[PendingEvent] = []
        self.arrived: list[PendingEvent] = []
        self.is_closing = False

    def meanwhile(self) -> None:
        """Writers and the broker go on while PostgreSQL works."""
        things = [self.outbox.end, self.outbox.let_one_be_due, self.answer, self.send, lambda: None]
        if not self.is_closing:
            things += [self.outbox.write, self.outbox.write, self.wake, self.replay]
        for _ in range(self.random.randint(0, 3)):
            self.random.choice(things)()

    def wake(self) -> None:
        """Let a wake-up tell of some shards, or of none in particular."""
        self.reader.wake(self.random.choice([None, [0], [1], [0, 1]]))

    def send(self) -> None:
        self.sent += self.lanes.take(self.random.randint(1, 4))

    def answer(self) -> None:
        """Let the broker confirm an event, or refuse it."""
        if not self.sent:
            return
        event = self.sent.pop(self.random.randrange(len(self.sent)))
        if self.random.random() < 0.9:
            self.arrived.append(event)
            self.lanes.confirm([event])
            self.striker.confirmed([event])
        else:
            self.lanes.refuse(event)
            self.striker.refused(Failure(event, "nobody hears it"))

    def replay(self) -> None:
        """Let a person replay an event; the relay is told of it."""
        number = self.outbox.replay()
        if number is not None:
            self.reader.replayed(number)

    async def turn(self) -> None:
        await self.reader.read()
        self.send()
        if self.random.random() < 0.3:
            self.reader.look_at(0)
        await self.reader.look()
        if self.random.random() < 0.5:
            await self.low_water.observe()
        if self.random.random() < 0.5:
            await self.striker.strike()
        if self.random.random() < 0.2:
            await self.low_water.advance(SHARDS)
        self.meanwhile()

    async def finish(self) -> None:
        self.is_closing = True
        for _ in range(5000):
            if not self.outbox.rows and not self.outbox.open:
                return
            self.wake()
            await self.turn()
        raise AssertionError(f"never read: {self.outbox.rows}")


@pytest.mark.parametrize("seed", range(80))
async def test_whatever_becomes_visible_when_nothing_is_missed_or_overtaken(seed: int) -> None:
    relay = Relay(seed)
    relay.reader.serve(SHARDS)

    for _ in range(150):
        await relay.turn()
    await relay.finish()

    order: dict[UUID, list[int]] = defaultdict(list)
    for event in relay.arrived:
        order[event.aggregate_id].append(event.id)
    for numbers in order.values():
        assert len(set(numbers)) == len(numbers)
        for place, number in enumerate(numbers):
            overtaken = [one for one in numbers[place:] if one < number]
            assert all(relay.outbox.may_overtake(number, one) for one in overtaken)
    assert {event.id for event in relay.arrived} | relay.outbox.parked.keys() == relay.outbox.committed.keys()


async def test_a_wake_up_has_its_shards_read_and_one_that_comes_meanwhile_is_kept() -> None:
    relay = Relay(seed=1)
    relay.is_closing = True
    relay.reader.serve(SHARDS)
    while relay.reader.can_read():
        await relay.reader.read()
    asked: list[list[int]] = []
    fetch = relay.outbox.fetch

    async def fetch_and_hear_of_more(wanted: Sequence[Wanted]) -> list[PendingEvent]:
        asked.append([one.shard for one in wanted])
        if len(asked) == 1:
            relay.reader.wake([1])
        return await fetch(wanted)

    relay.outbox.fetch = fetch_and_hear_of_more
    relay.reader.wake([1, 7])
    while relay.reader.can_read():
        await relay.reader.read()

    assert asked == [[1], [1]]


async def test_a_shard_that_is_leaving_is_not_read_for_what_failed_in_it() -> None:
    relay = Relay(seed=1)
    relay.is_closing = True
    relay.reader.serve([0])
    await relay.reader.read()
    assert not relay.reader.can_read()

    relay.reader.released(Row(1, aggregate=1).event())

    assert not relay.reader.can_read()
