"""The short form for consumers."""

import pytest

from faults_consumers import prepared_consumers
from faults_messages import AT_ONCE
from faults_plan import ConsumerKind, shuffled

# It waits for what has to happen, however long a busy machine takes.
pytestmark = pytest.mark.timeout(1200)

SEED = "alta"

MIXED = [
    ConsumerKind.CONSUMER_KILLED,
    ConsumerKind.CONSUMER_FROZEN,
    ConsumerKind.BROKER_KILLED,
    ConsumerKind.POSTGRES_CRASHED,
]


async def test_every_message_has_its_effect_once_or_is_dead_for_a_reason(private_servers, tmp_path) -> None:
    async with prepared_consumers(private_servers, tmp_path, SEED, AT_ONCE) as scenario:
        problems = await scenario.run(shuffled(SEED, MIXED), 1000)

    assert not problems
    assert len(scenario.publisher.published) >= 1000
    assert set(scenario.dead.values()) == {"permanent_failure", "unreadable_message", "ValidationError"}
