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


class Heard:
    """What came to a queue that hears the usual events of projects from the beginning."""

    def __init__(self, queue):
        self._queue = queue
        self.ids = []

    async def also(self, routing_key):
        await self._queue.bind("projects.events", routing_key)

    async def all(self):
        while message := await self._queue.get(no_ack=True, fail=False):
            self.ids.append(message.message_id)
        return self.ids


@pytest.fixture
async def heard(queues_once, broker):
    async with await aio_pika.connect(queues_once) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"heard-{new_id()}", exclusive=True)
        await queue.bind("projects.events", "projects.project.created.v1")
        yield Heard(queue)


async def test_a_poisoned_aggregate_goes_on_and_its_event_goes_out_later(api, written, relay, heard):
    project_id = new_id()
    poison = await written.write_with_key(UNHEARD, project_id)
    behind = await written.write("first", "second", project_id=project_id)

    async def is_failed():
        return (await written.states())[poison] == "FAILED"

    async def park():
        answer = await api.post(f"/v1/admin/outbox/{poison}/park", json={"reason": "nobody listens"})
        return answer.status_code == 200

    async def have_come(*event_ids):
        return await heard.all() == list(event_ids)

    await eventually(is_failed, 120)
    assert await heard.all() == []
    # The relay may be trying it again at this very moment.
    await eventually(park, 120)
    behind += await written.write("third", project_id=project_id)
    behind += await written.write("fourth", "fifth", project_id=project_id)
    await eventually(lambda: have_come(*behind), 120)

    await heard.also(UNHEARD)
    for times in (1, 2):
        answer = await api.post("/v1/admin/outbox/replay", json={"schema": "projects", "event_ids": [poison]})
        assert answer.status_code == 200, answer.text
        await eventually(lambda times=times: have_come(*behind, *[poison] * times), 120)
        await eventually(written.nothing_waits, 120)
