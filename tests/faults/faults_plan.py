"""Which faults, in which order: decided by the seed alone."""

from collections.abc import Sequence
from enum import StrEnum
from random import Random


class Kind(StrEnum):
    """What is done to the system."""

    RELAY_KILLED = "relay_killed"
    RELAY_CAUGHT = "relay_caught"
    """Killed between confirm and delete."""
    RELAY_REPLACED = "relay_replaced"
    RELAY_FROZEN = "relay_frozen"
    RELAY_ADDED = "relay_added"
    """A further one joins for a while."""
    BROKER_RESTARTED = "broker_restarted"
    BROKER_KILLED = "broker_killed"
    CONNECTIONS_CLOSED = "connections_closed"
    MEMORY_ALARM = "memory_alarm"
    SESSIONS_KILLED = "sessions_killed"
    POSTGRES_CRASHED = "postgres_crashed"
    POSTGRES_STOPPED = "postgres_stopped"
    POISON = "poison"
    REPLAY = "replay"
    UNHEARD = "unheard"
    """For a while nobody hears good events either. Relays must be told to try again as often as it takes."""


class ConsumerKind(StrEnum):
    """What is done to the system while messages are consumed."""

    CONSUMER_KILLED = "consumer_killed"
    CONSUMER_REPLACED = "consumer_replaced"
    CONSUMER_FROZEN = "consumer_frozen"
    """Its messages are given to another meanwhile, and it wakes in the middle of handling them."""
    BROKER_RESTARTED = "broker_restarted"
    BROKER_KILLED = "broker_killed"
    CONNECTIONS_CLOSED = "connections_closed"
    MEMORY_ALARM = "memory_alarm"
    LONG_ALARM = "long_alarm"
    """It lasts longer than consumers wait for the confirm of what they publish."""
    SESSIONS_KILLED = "sessions_killed"
    POSTGRES_CRASHED = "postgres_crashed"
    POSTGRES_STOPPED = "postgres_stopped"


# Two of these strike at once, each something else.
_RELAY = (Kind.RELAY_KILLED, Kind.RELAY_REPLACED, Kind.RELAY_FROZEN)
_BROKER = (Kind.BROKER_RESTARTED, Kind.BROKER_KILLED, Kind.CONNECTIONS_CLOSED, Kind.MEMORY_ALARM)
_POSTGRES = (Kind.SESSIONS_KILLED, Kind.POSTGRES_CRASHED, Kind.POSTGRES_STOPPED)

# For each its share of a backlog; everything that ends a process, a session or a connection.
STRUCK_AT_A_BACKLOG = (
    Kind.RELAY_KILLED,
    Kind.RELAY_CAUGHT,
    Kind.RELAY_FROZEN,
    Kind.BROKER_KILLED,
    Kind.CONNECTIONS_CLOSED,
    Kind.SESSIONS_KILLED,
    Kind.POSTGRES_CRASHED,
)

Step = tuple[Kind | ConsumerKind, ...]
"""Faults that strike at the same time."""


def shuffled(seed: str, kinds: Sequence[Kind | ConsumerKind]) -> list[Step]:
    """Return each of these once."""
    rng = Random(seed)
    return [(kind,) for kind in rng.sample(kinds, len(kinds))]


def rounds(seed: str, count: int) -> list[Step]:
    """Return every kind `count` times, and as often every pair of things that are struck at once."""
    rng = Random(seed)
    steps: list[Step] = []
    for _ in range(count):
        alone = [(kind,) for kind in Kind if kind is not Kind.UNHEARD]
        pairs = [(_RELAY, _BROKER), (_RELAY, _POSTGRES), (_BROKER, _POSTGRES)]
        together = [(rng.choice(one), rng.choice(other)) for one, other in pairs]
        steps += rng.sample([*alone, *together], len(alone) + len(together))
    return steps


def refusals(seed: str, count: int) -> list[Step]:
    """Return refusals, most of them while something else is struck."""
    rng = Random(f"{seed}-refusals")
    # Nothing that makes a relay connect to the broker: it would bind the system's queue again, behind our back.
    others = [Kind.RELAY_FROZEN, *_POSTGRES]
    return [(Kind.UNHEARD,), *((Kind.UNHEARD, rng.choice(others)) for _ in range(count))]


def consumer_rounds(seed: str, count: int) -> list[Step]:
    """Return every kind `count` times; the long alarm, which lasts most of a minute, once."""
    kinds = [kind for kind in ConsumerKind if kind is not ConsumerKind.LONG_ALARM]
    steps = [step for number in range(count) for step in shuffled(f"{seed}-{number}", kinds)]
    steps.insert(Random(f"{seed}-long-alarm").randrange(len(steps)), (ConsumerKind.LONG_ALARM,))
    return steps
