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
    is_due: bool = False

    @property
    def shard(self) -> int:
        return self.aggregate % len(SHARDS)

    def event(self) -> PendingEvent:
        return PendingEvent(
            *("projects", self.shard, self.id, self.attempts, uuid4(), "T", "e", "k", UUID(int=self.aggregate)),
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
        self.committed: set[int] = set()
        self.parked: set[int] = set()

    def write(self) -> None:
        """Begin a transaction that holds some aggregates until it ends, as a service's would."""
        held = {row.aggregate for rows in self.open.values() for row in rows}
        free = [aggregate for aggregate in range(6) if aggregate not in held]
        rows = []
        for aggregate in self._chance.sample(free, min(len(free), self._chance.randint(1, 3))):
            self.last_id += 1
            rows.append(Row(self.last_id, aggregate))
        if rows:
            self.open[f"3/{self.last_id}"] = rows

    def end(self) -> None:
        """Commit one of the transactions, or roll it back."""
        if self.open:
            rows = self.open.pop(self._chance.choice(list(self.open)))
            if self._chance.random() < 0.9:
                self.rows |= {row.id: row for row in rows}
                self.committed |= {row.id for row in rows}

    async def fetch(self, wanted: Sequence[Wanted]) -> list[PendingEvent]:
        self._meanwhile()
        found = []
        for one in wanted:
            rows = [
                row
                for row in self._visible(one.shard)
                if row.id > one.after and not row.attempts and row.id not in one.known
            ]
            found += rows[: one.limit]
        self._meanwhile()
        return [row.event() for row in found]

    async def look(self, ranges: Sequence[tuple[int, int, int, int]]) -> list[Found]:
        self._meanwhile()
        found = []
        for shard, after, limit, limit_of_due in ranges:
            visible = self._visible(shard)
            found += [Found(shard, row.id, False) for row in visible if not row.attempts and row.id > after][:limit]
            found += [Found(shard, row.id, True) for row in visible if row.is_due][:limit_of_due]
        self._meanwhile()
        return found

    async def fetch_these(self, ids: Sequence[tuple[int, int]]) -> list[PendingEvent]:
        rows = {row.id: row for shard in SHARDS for row in self._visible(shard)}
        return [rows[number].event() for _, number in ids if number in rows]

    async def failing_shards(self) -> set[int]:
        self._meanwhile()
        failing = {row.shard for row in self.rows.values() if row.attempts}
        self._meanwhile()
        return failing

    async def last_id_and_writers(self) -> tuple[int, frozenset[str]]:
        last_id = self.last_id
        self._meanwhile()
        return last_id, frozenset(self.open)

    async def first_pending(self, marks: Sequence[tuple[int, int]]) -> dict[int, int | None]:
        self._meanwhile()
        return {
            shard: min(
                (row.id for row in self.rows.values() if row.shard == shard and row.id > low and not row.attempts),
                default=None,
            )
            for shard, low in marks
        }

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
            del self.rows[failure.event.id]
            self.parked.add(failure.event.id)
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
        self.striker = Striker(self.outbox, self.lanes, POLICY)
        self.sent: list[PendingEvent] = []
        self.arrived: list[PendingEvent] = []
        self.is_closing = False

    def meanwhile(self) -> None:
        """Writers and the broker go on while PostgreSQL works."""
        things = [self.outbox.end, self.answer, self.send, lambda: None]
        if not self.is_closing:
            things += [self.outbox.write, self.outbox.write, self.reader.wake]
        for _ in range(self.random.randint(0, 3)):
            self.random.choice(things)()

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
            self.reader.refused(event.shard)
            self.striker.refused(Failure(event, "nobody hears it"))

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
        if self.random.random() < 0.2 and not self.striker.has_failures:
            await self.reader.settle_failing()
        if self.random.random() < 0.2:
            await self.low_water.advance(SHARDS)
        self.meanwhile()

    async def finish(self) -> None:
        self.is_closing = True
        for _ in range(5000):
            if not self.outbox.rows and not self.outbox.open:
                return
            self.reader.wake()
            await self.turn()
        raise AssertionError(f"never read: {self.outbox.rows}")


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_becomes_visible_when_nothing_is_missed_or_overtaken(seed: int) -> None:
    relay = Relay(seed)
    relay.reader.serve(SHARDS)

    for _ in range(150):
        await relay.turn()
    await relay.finish()

    order: dict[UUID, list[int]] = defaultdict(list)
    for event in relay.arrived:
        order[event.aggregate_id].append(event.id)
    assert all(numbers == sorted(set(numbers)) for numbers in order.values())
    assert {event.id for event in relay.arrived} | relay.outbox.parked == relay.outbox.committed
