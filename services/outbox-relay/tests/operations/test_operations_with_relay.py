"""What operators do while a relay runs."""

import asyncio
import sys

import aio_pika
import pytest

from alta_common.ids import new_id
from alta_common.testing import eventually

UNHEARD = "projects.unheard.thing.v1"


@pytest.fixture
async def relay(environment):
    """A relay process; a refused event is not tried again by itself within this test."""
    settings = {"OUTBOX_SCHEMAS": "projects", "OUTBOX_RETRY_DELAY": "600", "INTERNAL_PORT": "0", "LOG_LEVEL": "ERROR"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alta_outbox_relay.main"), env={**environment, **settings}
    )
    yield process
    process.kill()
    await process.wait()


@pytest.fixture
async def hear(queues_once, broker):
    """Makes a queue hear what nobody heard, and returns how many messages have come."""
    async with await aio_pika.connect(queues_once) as connection:
        channel = await connection.channel()

        async def bind():
            queue = await channel.declare_queue("hearing", durable=True, auto_delete=False)
            await queue.bind("projects.events", UNHEARD)

        async def count():
            declared = await channel.declare_queue("hearing", passive=True)
            return declared.declaration_result.message_count

        yield bind, count
        await channel.queue_delete("hearing")


async def test_a_poisoned_aggregate_goes_on_and_its_event_goes_out_later(api, written, relay, hear):
    bind, count = hear
    project_id = new_id()
    poison = await written.write_with_key(UNHEARD, project_id)
    (behind,) = await written.write("behind", project_id=project_id)

    async def state_of(event_id, state):
        return (await written.states())[event_id] == state

    async def park():
        answer = await api.post(f"/v1/admin/outbox/{poison}/park", json={"reason": "nobody listens"})
        return answer.status_code == 200

    await eventually(lambda: state_of(poison, "FAILED"), 120)
    assert not await state_of(behind, "COMPLETED")
    # The relay may be trying it again at this very moment.
    await eventually(park, 120)
    await eventually(lambda: state_of(behind, "COMPLETED"), 120)

    await bind()
    for times in (1, 2):
        answer = await api.post("/v1/admin/outbox/replay", json={"schema": "projects", "event_ids": [poison]})
        assert answer.json()["replayed"] == 1, answer.text

        async def came(times=times):
            return await count() == times and await state_of(poison, "COMPLETED")

        await eventually(came, 120)
