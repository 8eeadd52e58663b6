import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from alta_outbox_relay.event import PendingEvent
from alta_outbox_relay.lanes import Lanes

LETTERS, PHOTOS = UUID(int=1), UUID(int=2)


def an_event(number: int, aggregate: UUID = LETTERS, shard: int = 0) -> PendingEvent:
    return PendingEvent(
        *("projects", shard, number, 0, uuid4(), "T", "e", "k", "a", aggregate),
        *(b"", {}, None, datetime(2026, 1, 1, tzinfo=UTC)),
    )


def ids(events: list[PendingEvent]) -> list[int]:
    return [event.id for event in events]


def test_an_aggregates_next_event_goes_when_the_one_before_it_is_confirmed() -> None:
    lanes = Lanes()
    lanes.add([an_event(1), an_event(2), an_event(3, PHOTOS)])

    first = lanes.take(10)
    assert ids(first) == [1, 3]
    assert lanes.take(10) == []

    lanes.confirm(first[:1])
    assert ids(lanes.take(10)) == [2]
    assert lanes.unconfirmed == 2


def test_what_is_read_twice_goes_once_until_it_is_struck_out() -> None:
    lanes = Lanes()
    event = an_event(1)
    lanes.add([event])
    sent = lanes.take(1)
    assert lanes.add([event]) == 0
    lanes.confirm(sent)
    assert lanes.add([event]) == 0

    lanes.struck_out(sent)

    assert lanes.add([event]) == 1


def test_what_becomes_visible_late_takes_its_place() -> None:
    lanes = Lanes()
    lanes.add([an_event(1), an_event(5), an_event(9)])
    lanes.add([an_event(7)])

    order = []
    while sent := lanes.take(1):
        order += ids(sent)
        lanes.confirm(sent)

    assert order == [1, 5, 7, 9]


def test_a_refused_event_holds_its_aggregate_only() -> None:
    lanes = Lanes()
    lanes.add([an_event(1), an_event(2), an_event(3, PHOTOS), an_event(4, PHOTOS)])
    refused, other = lanes.take(2)

    lanes.refuse(refused)
    lanes.confirm([other])
    # A read that began before the refusal was written down still brings what is behind it.
    assert lanes.add([an_event(2)]) == 0
    assert ids(lanes.take(5)) == [4]

    lanes.settle([refused], refused=True)
    assert set(lanes.known) == {3, 4}
    assert lanes.add([an_event(2)]) == 1


def test_a_faulty_event_holds_up_nobody() -> None:
    lanes = Lanes()
    lanes.add([an_event(1), an_event(2)])
    (faulty,) = lanes.take(1)

    lanes.give_up(faulty)

    assert ids(lanes.take(1)) == [2]
    assert lanes.add([faulty]) == 0
    lanes.settle([faulty], refused=False)
    assert lanes.at_risk_total == 1


def test_lost_events_go_first_and_in_their_order() -> None:
    lanes = Lanes()
    lanes.add([an_event(number, UUID(int=number)) for number in range(1, 6)])
    lost = lanes.take(3)

    lanes.put_back(lost)

    assert (lanes.unconfirmed, lanes.at_risk_total, lanes.buffered_total) == (0, 0, 5)
    assert ids(lanes.take(10)) == [1, 2, 3, 4, 5]


def test_of_a_shut_shard_only_what_was_sent_stays() -> None:
    lanes = Lanes()
    lanes.add([an_event(1), an_event(2), an_event(3, PHOTOS, shard=5), an_event(4, UUID(int=4))])
    sent = lanes.take(1)

    lanes.shut(0)

    assert ids(lanes.take(10)) == [3]
    assert (lanes.buffered[0], lanes.at_risk[0], set(lanes.known)) == (0, 1, {1, 3})
    assert lanes.add([an_event(2)]) == 0
    lanes.confirm(sent)
    lanes.struck_out(sent)
    lanes.open(0)
    assert lanes.add([an_event(2)]) == 1
    assert ids(lanes.take(10)) == [2]


def test_what_is_lost_of_a_shut_shard_is_forgotten() -> None:
    lanes = Lanes()
    lanes.add([an_event(1), an_event(2)])
    sent = lanes.take(1)
    lanes.shut(0)

    lanes.put_back(sent)

    assert lanes.take(10) == []
    assert not lanes.known
    assert (lanes.at_risk_total, lanes.buffered_total) == (0, 0)


class World:
    """An outbox, a broker and a relay's lanes; each step is one thing that may happen, at any time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.pending: dict[int, PendingEvent] = {}
        """In the order of ids."""
        self.failed: set[int] = set()
        self.lanes = Lanes()
        self.sent: list[PendingEvent] = []
        self.to_strike: list[PendingEvent] = []
        self.to_settle: list[PendingEvent] = []
        self.to_park: list[PendingEvent] = []
        self.arrived: list[PendingEvent] = []
        self.parked: set[int] = set()
        self.lost = 0
        self.next_id = 1

    def write(self) -> None:
        for _ in range(self.random.randint(1, 5)):
            number = self.random.randint(1, 8)
            self.pending[self.next_id] = an_event(self.next_id, UUID(int=number), number % 3)
            self.next_id += 1

    def read(self) -> None:
        rows = [event for event in self.pending.values() if not self._is_behind_a_failed_one(event)]
        self.lanes.add(rows[: self.random.randint(1, 20)])

    def read_late(self) -> None:
        rows = [event for event in self.pending.values() if not self._is_behind_a_failed_one(event)]
        stale = rows[: self.random.randint(1, 20)]
        self.confirm()
        self.refuse()
        self.lanes.add(stale)

    def send(self) -> None:
        self.sent += self.lanes.take(self.random.randint(1, 6))
        aggregates = [event.aggregate_id for event in self.sent]
        assert len(aggregates) == len(set(aggregates)), "two events of one aggregate are on their way"

    def confirm(self) -> None:
        confirmed = self._some(self.sent)
        self.arrived += confirmed
        self.lanes.confirm(confirmed)
        self.to_strike += confirmed

    def refuse(self) -> None:
        if self.sent:
            event = self.sent.pop(self.random.randrange(len(self.sent)))
            self.lanes.refuse(event)
            self.to_settle.append(event)

    def find_faulty(self) -> None:
        if self.sent:
            event = self.sent.pop(self.random.randrange(len(self.sent)))
            self.parked.add(event.id)
            self.lanes.give_up(event)
            self.to_park.append(event)

    def lose_broker(self) -> None:
        lost, self.sent = self.sent, []
        self.lost += len(lost)
        self.arrived += [event for event in lost if self.random.random() < 0.5]
        self.lanes.put_back(lost)

    def strike(self) -> None:
        for event in self.to_strike + self.to_park:
            del self.pending[event.id]
            self.failed.discard(event.id)
        self.failed.update(event.id for event in self.to_settle)
        self.lanes.struck_out(self.to_strike)
        self.lanes.settle(self.to_park, refused=False)
        self.lanes.settle(self.to_settle, refused=True)
        self.to_strike, self.to_park, self.to_settle = [], [], []

    def change_shards(self) -> None:
        shard = self.random.randint(0, 2)
        self.lanes.shut(shard)
        if not self.lanes.at_risk[shard]:
            self.lanes.open(shard)

    def _some(self, events: list[PendingEvent]) -> list[PendingEvent]:
        chosen = [event for event in events if self.random.random() < 0.5]
        events[:] = [event for event in events if event not in chosen]
        return chosen

    def _is_behind_a_failed_one(self, event: PendingEvent) -> bool:
        return any(
            number < event.id and self.pending[number].aggregate_id == event.aggregate_id for number in self.failed
        )

    def finish(self) -> None:
        for shard in range(3):
            self.lanes.open(shard)
        for _ in range(10_000):
            if not self.pending:
                break
            self.read()
            self.send()
            self.confirm()
            self.strike()
        for shard in range(3):
            assert (self.lanes.buffered[shard], self.lanes.at_risk[shard]) == (0, 0)
        assert not self.lanes.known
        assert not self.lanes.ready


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_nothing_is_lost_or_overtaken(seed: int) -> None:
    world = World(seed)
    steps: list[Callable[[], None]] = [
        *(world.write, world.read, world.send, world.confirm, world.strike) * 3,
        *(world.read_late, world.refuse, world.find_faulty, world.lose_broker, world.change_shards),
    ]

    for _ in range(300):
        world.random.choice(steps)()
    world.finish()

    order: dict[UUID, list[int]] = defaultdict(list)
    for event in world.arrived:
        if event.id not in order[event.aggregate_id]:
            order[event.aggregate_id].append(event.id)
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert {event.id for event in world.arrived} | world.parked == set(range(1, world.next_id))
    assert len(world.arrived) - len({event.id for event in world.arrived}) <= world.lost
