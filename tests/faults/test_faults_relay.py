"""The short form: real relays, a real broker and a real database, and most of what can happen to them."""

from functools import partial
from random import Random

import pytest

from alta_common.testing import eventually
from faults_plan import Kind, shuffled
from faults_report import Before
from faults_scenario import Size, prepared

# They wait for what has to happen, however long a busy machine takes.
pytestmark = pytest.mark.timeout(1200)

# The seed fixes the faults and their order, not the moments at which processes meet.
SEED = "alta"

MIXED = [
    Kind.RELAY_KILLED,
    Kind.RELAY_FROZEN,
    Kind.BROKER_KILLED,
    Kind.CONNECTIONS_CLOSED,
    Kind.SESSIONS_KILLED,
    Kind.POSTGRES_CRASHED,
    Kind.POISON,
    Kind.REPLAY,
]

ONE_BY_ONE = [
    # These may repeat nothing.
    Kind.RELAY_REPLACED,
    Kind.RELAY_ADDED,
    Kind.MEMORY_ALARM,
    # These a batch of each relay that they hit.
    Kind.POSTGRES_CRASHED,
    Kind.POSTGRES_STOPPED,
    Kind.RELAY_CAUGHT,
    Kind.RELAY_FROZEN,
    Kind.BROKER_RESTARTED,
]


async def test_faults_of_every_part_lose_nothing_and_keep_the_order(private_servers, tmp_path) -> None:
    async with prepared(private_servers, tmp_path, SEED, Size(4000)) as scenario:
        outcome = await scenario.run(shuffled(SEED, MIXED))

    assert not outcome.verdict.problems
    assert outcome.verdict.events >= 4000
    assert outcome.parked == outcome.poisons == 6


async def test_what_is_refused_for_a_while_keeps_its_place(private_servers, tmp_path) -> None:
    again_and_again = {"OUTBOX_MAX_RETRIES": "100"}
    async with prepared(private_servers, tmp_path, SEED, Size(600), **again_and_again) as scenario:
        outcome = await scenario.run([(Kind.UNHEARD, Kind.SESSIONS_KILLED)])

    assert not outcome.verdict.problems
    assert outcome.parked == 0


async def test_a_strike_in_the_middle_of_a_backlog_repeats_one_batch_at_most(private_servers, tmp_path) -> None:
    async with prepared(private_servers, tmp_path, SEED, Size(0)) as scenario:
        await scenario.start_relays()
        for kind in ONE_BY_ONE:
            happened = await scenario.strike((kind,), await _in_the_middle_of_a_backlog(scenario))
            await scenario.database.drained()
            # Each by itself, for nothing waits any more when the next one strikes.
            assert not (await scenario.verdict()).problems, kind
            assert happened.before.alone
            assert happened.before.pending > 0, kind
            if kind is Kind.RELAY_CAUGHT:
                assert happened.duplicates > 0

        outcome = await scenario.settle()

    assert not outcome.verdict.problems
    assert outcome.notes[Kind.RELAY_FROZEN] == ["taken over"]
    assert outcome.notes[Kind.RELAY_CAUGHT] == ["caught"]


async def _in_the_middle_of_a_backlog(scenario) -> Before:
    """Return what there is then. The relays may be through with one before that is known: there is another one then."""
    while True:
        await scenario.writers.burst(Random(SEED), each=20)
        backlog = await scenario.database.pending()
        await eventually(partial(_has_shrunk, scenario, backlog), 180)
        before = await scenario.before()
        if before.pending:
            return before


async def _has_shrunk(scenario, backlog: int) -> bool:
    return await scenario.database.pending() <= backlog * 0.9
