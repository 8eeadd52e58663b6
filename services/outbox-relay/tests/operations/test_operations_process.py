"""The process that operators talk to, as it is deployed, and what it measures."""

import asyncio
import signal
import sys

import httpx
import pytest
from prometheus_client import generate_latest

from alta_common.messaging.broker import BrokerUnavailableError
from alta_common.messaging.partitions import declare_partitions
from alta_common.testing import eventually
from alta_common.testing.tokens import TokenMaker
from alta_outbox_relay.application.dead_letter_heads import DeadLetterHeads
from alta_outbox_relay.application.partitions import Partitions
from alta_outbox_relay.application.queue_watch import QueueWatch
from alta_outbox_relay.application.queues import QueueOperations, known_queues
from alta_outbox_relay.broker.counts import QueueCounter
from alta_outbox_relay.broker.dead_letter_box import opened
from alta_outbox_relay.broker.management import ManagementApi
from alta_outbox_relay.models.dead_letter import DeadLettersBusyError
from alta_outbox_relay.models.queue import Queue, QueueKind
from alta_stack.processes import free_ports

AWAY = "amqp://user:secret@127.0.0.1:1/"


def measured():
    return [line for line in generate_latest().decode().splitlines() if line.startswith("alta_queue_")]


async def test_it_measures_serves_and_stops_cleanly(environment, broker):
    await broker.bury_event()
    public, internal = free_ports(2)
    keys = await asyncio.start_server(_key_server(TokenMaker()), "127.0.0.1", 0)
    jwks = f"http://127.0.0.1:{keys.sockets[0].getsockname()[1]}/jwks.json"
    own = {"HTTP_PORT": str(public), "INTERNAL_PORT": str(internal), "AUTH_JWKS_URL": jwks}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alta_outbox_relay.admin"),
        env={**environment, **own},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:

            async def says(path, words):
                return words in (await client.get(f"http://127.0.0.1:{internal}{path}")).text

            await eventually(lambda: says("/health/ready", '"status":"ok"'), 120)
            await eventually(
                lambda: says("/metrics", 'alta_queue_messages{queue="ocr_queue.dead",state="ready"} 1.0'), 120
            )
            answer = await client.get(f"http://127.0.0.1:{public}/v1/admin/queues")
            assert answer.status_code == 401
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = await process.communicate()
        keys.close()
    assert process.returncode == 0, output.decode()


def _key_server(tokens):
    body = httpx.Response(200, json=tokens.jwks).content
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    return answer


async def test_numbers_go_when_the_broker_does(operations, broker):
    watch = QueueWatch(operations.queues, 3600)
    await broker.bury_event()
    await watch.measure()
    assert 'alta_queue_messages{queue="ocr_queue.dead",state="ready"} 1.0' in measured()
    assert any(line.startswith('alta_queue_head_age_seconds{queue="ocr_queue.dead"} 7') for line in measured())
    assert 'alta_queue_consumers{queue="ocr_queue"} 0.0' in measured()
    assert 'alta_queue_head_age_seconds{queue="email_queue.dead"} 0.0' in measured()
    # Nobody can tell it of other queues, so it is not said while they are empty either.
    aged = [line for line in measured() if line.startswith("alta_queue_head_age_seconds{")]
    assert all('.dead"' in line for line in aged)
    assert not any('retry.5s",state="unacknowledged"' in line for line in measured())

    watch._queues = QueueOperations(QueueCounter(AWAY), None, DeadLetterHeads(AWAY), known_queues())
    await watch.measure()

    assert not any(line.startswith(("alta_queue_messages{", "alta_queue_head_age_seconds{")) for line in measured())
    assert any(line.startswith('alta_queue_measurements_total{outcome="failed"}') for line in measured())


async def test_the_head_is_looked_at_again_only_when_it_may_have_changed(queues_once, broker):
    await broker.bury_event(failed_at="2026-01-01T00:00:00.000Z")
    heads = DeadLetterHeads(queues_once)
    await heads.follow({"ocr_queue.dead": 1})
    first = heads.failed_at("ocr_queue.dead")
    await broker.bury_event(failed_at="2026-01-02T00:00:00.000Z")
    await heads.follow({"ocr_queue.dead": 2})
    same = heads.failed_at("ocr_queue.dead")
    async with opened(queues_once, "ocr_queue.dead") as box:
        await box.remove([taken async for taken in box.look(1)])

    await heads.follow({"ocr_queue.dead": 1})
    second = heads.failed_at("ocr_queue.dead")
    await heads.follow({"ocr_queue.dead": 0})

    assert first == same
    assert (first.day, second.day) == (1, 2)
    assert heads.failed_at("ocr_queue.dead") is None


async def test_one_at_a_time_works_on_a_queue_of_dead_letters(queues_once, broker):
    async with opened(queues_once, "ocr_queue.dead"):
        with pytest.raises(DeadLettersBusyError):
            async with opened(queues_once, "ocr_queue.dead", patience=0):
                raise AssertionError

    async with opened(queues_once, "ocr_queue.dead", patience=120) as box:
        assert box.ready == 0


async def test_what_was_taken_is_back_when_its_taker_dies(queues_once, broker):
    ids = [await broker.bury_event() for _ in range(40)]

    async def die():
        async with opened(queues_once, "ocr_queue.dead") as box:
            taken = [one async for one in box.look(30)]
            return 1 / (len(taken) - 30)

    with pytest.raises(ZeroDivisionError):
        await die()

    assert [message.message_id for message in await broker.take("ocr_queue.dead")] == ids


async def test_a_copy_that_is_not_confirmed_leaves_the_dead_letter(queues_once, broker):
    await broker.bury_event()

    async with opened(queues_once, "ocr_queue.dead") as box:
        failure = await box.replay([taken async for taken in box.look(1)], "a queue that is not there", "grace")

    assert failure is not None
    assert failure.code == "unroutable"
    assert await broker.count("ocr_queue.dead") == 1


async def test_a_replay_goes_on_over_its_connection_when_that_was_lost(queues_once, broker):
    ids = [await broker.bury_event() for _ in range(2)]

    async with opened(queues_once, "ocr_queue.dead") as box:
        first, second = [taken async for taken in box.look(2)]
        await box.replay([first], "ocr_queue", "grace")
        connection = box._sender._connection
        # So it says while it connects anew: for milliseconds, or for as long as the broker is away.
        connection.connected.clear()
        asyncio.get_running_loop().call_later(0.2, connection.connected.set)
        failure = await box.replay([second], "ocr_queue", "grace")
        # A second one would leave the first behind, which comes back for as long as the process lives.
        assert box._sender._connection is connection

    assert failure is None
    assert [message.message_id for message in await broker.take("ocr_queue")] == ids


async def test_queues_that_are_not_declared_are_told_apart_from_a_broker_that_is_away(queues_once, broker):
    counter = QueueCounter(queues_once)
    counted = await counter.count(["nothing", "ocr_queue", "nothing.dead"])
    await counter.aclose()

    assert counted["nothing"] is counted["nothing.dead"] is None
    assert counted["ocr_queue"].ready == 0
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
        await QueueCounter(AWAY).count(["ocr_queue"])


async def test_partitions_of_ordered_queues_are_listed(operations, queues_once, broker):
    await declare_partitions(queues_once, "webhook_queue", 2)
    try:
        states = await operations.queues.measure()
        remembered = await operations.queues.measure()
        found = await Partitions(QueueCounter(AWAY)).find(
            ["default", "webhook_queue.p10", "webhook_queue.p9", "webhook_queue.line", "x.p1"]
        )
    finally:
        await declare_partitions(queues_once, "webhook_queue", 0)
        await broker.forget(
            "webhook_queue.line", "webhook_queue.p0", "webhook_queue.p1", exchange="webhook_queue.ordered"
        )

    for measured_once in (states, remembered):
        partitions = {state.name: state for state in measured_once if state.name.endswith((".line", ".p0", ".p1"))}
        assert list(partitions) == ["webhook_queue.line", "webhook_queue.p0", "webhook_queue.p1"]
        assert partitions["webhook_queue.p0"].ready == 0
    assert [queue.name for queue in found] == ["webhook_queue.line", "webhook_queue.p9", "webhook_queue.p10"]


async def test_the_management_api_says_what_is_unacknowledged(servers, management, queues_once, broker):
    # The user of a test's virtual host may not ask the management API; an administrator may.
    name = servers.broker.url.removeprefix("amqp://").partition("@")[0]
    api = ManagementApi(f"http://{name}@{servers.broker.management.removeprefix('http://')}", queues_once)
    operations = QueueOperations(
        QueueCounter(queues_once), api, DeadLetterHeads(queues_once), [Queue("ocr_queue", QueueKind.WORK)]
    )

    async def knows():
        states = {state.name: state for state in await operations.measure()}
        return states["ocr_queue"].unacknowledged == 0

    await eventually(knows, 120)
    refused = ManagementApi(servers.broker.management, "amqp://nobody:wrong@127.0.0.1/")
    assert await refused.facts() == {}
    await api.aclose()
    await refused.aclose()
    await operations._counter.aclose()
