"""The consumers on a real broker: each event once, in whatever order, and poison out of the way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.contracts.event import Event
from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_common.messaging.consumers import ConsumerApp
from alta_common.messaging.partitions import partition_of
from alta_common.messaging.topology import dead_queue_of
from alta_common.testing import eventually
from alta_common.testing.consumers import assert_hears_what_is_documented
from alta_common.testing.messages import publish
from alta_common.testing.postgres import FreshDatabase
from alta_projects.settings import ProjectsWorkerSettings
from alta_projects.worker import create_consumer_app

QUEUE = "projects_results_queue"


@pytest.fixture
async def consumers(database: FreshDatabase, engine: AsyncEngine, rabbitmq_url: str) -> AsyncIterator[ConsumerApp]:
    settings = ProjectsWorkerSettings(
        **database.settings("projects").model_dump(), rabbitmq_url=rabbitmq_url, drain_seconds=5
    )
    app = create_consumer_app(settings, engine)
    await app.start()
    yield app
    await app.stop()


@pytest.fixture
async def document(ada: Any) -> dict[str, Any]:
    return await ada.document((await ada.project())["id"], b"%PDF-1.7 " + new_id().bytes)


async def is_handled(sessions: Sessions, event: Event) -> bool:
    async with sessions() as session:
        query = text("SELECT 1 FROM projects.inbox WHERE event_id = :event_id")
        return (await session.execute(query, {"event_id": event.event_id})).first() is not None


async def audited(sessions: Sessions, item_id: str, action: str) -> int:
    async with sessions() as session:
        query = text("SELECT count(*) FROM projects.audit_log WHERE subject_id = :item_id AND action = :action")
        return int((await session.execute(query, {"item_id": item_id, "action": action})).scalar_one())


async def test_a_result_comes_in_over_the_broker_and_counts_once(
    ada: Any, document: dict[str, Any], engines: Any, consumers: ConsumerApp, rabbitmq_url: str, sessions: Sessions
) -> None:
    waiting = asyncio.create_task(ada.http.get(f"/v1/documents/{document['id']}", params={"wait": 30}))
    completed = await engines.completed(document, "Hello")

    for _ in range(3):
        await publish(rabbitmq_url, completed, correlation_id="request-1")

    assert (await waiting).json()["status"] == "completed"
    assert await audited(sessions, document["id"], "document.completed") == 1
    read = (await ada.http.get(f"/v1/documents/{document['id']}")).json()
    assert (read["status"], read["pages"]) == ("completed", 4)
    async with sessions() as session:
        query = text("SELECT request_id FROM projects.audit_log WHERE action = 'document.completed'")
        assert (await session.execute(query)).scalars().all() == ["request-1"]


async def test_the_order_of_arrival_does_not_matter(
    ada: Any, document: dict[str, Any], engines: Any, consumers: ConsumerApp, rabbitmq_url: str, sessions: Sessions
) -> None:
    late = [engines.progressed(document, done) for done in (3, 1, 2)]
    events = [late[0], await engines.completed(document), late[1], engines.failed(document), late[2]]

    for event in events:
        await publish(rabbitmq_url, event)

    for event in events:
        await eventually(lambda event=event: is_handled(sessions, event))
    read = (await ada.http.get(f"/v1/documents/{document['id']}")).json()
    assert (read["status"], read["progress"], read["error"]) == (
        "completed",
        {"done": 4, "total": 4, "unit": "page"},
        None,
    )


async def test_of_two_results_the_first_counts_and_the_other_is_swept(
    ada: Any, document: dict[str, Any], engines: Any, consumers: ConsumerApp, rabbitmq_url: str, sessions: Sessions
) -> None:
    first = await engines.completed(document, "first")
    other_key = f"results/{document['id']}/{new_id()}.json"
    other = first.model_copy(update={"event_id": new_id(), "result_key": other_key, "pages": 9})

    await publish(rabbitmq_url, first)
    await eventually(lambda: is_handled(sessions, first))
    await publish(rabbitmq_url, other)
    await eventually(lambda: is_handled(sessions, other))

    assert (await ada.http.get(f"/v1/documents/{document['id']}")).json()["pages"] == 4
    async with sessions() as session:
        swept = (await session.execute(text("SELECT object_key FROM projects.unclaimed_object"))).scalars().all()
    assert other_key in swept
    assert first.result_key not in swept


async def test_a_result_of_a_deleted_document_is_let_go(
    ada: Any, document: dict[str, Any], engines: Any, consumers: ConsumerApp, rabbitmq_url: str, sessions: Sessions
) -> None:
    completed = await engines.completed(document)
    await ada.http.delete(f"/v1/documents/{document['id']}")

    await publish(rabbitmq_url, completed)

    await eventually(lambda: is_handled(sessions, completed))
    async with sessions() as session:
        swept = (await session.execute(text("SELECT object_key FROM projects.unclaimed_object"))).scalars().all()
    assert completed.result_key in swept


async def test_a_failure_and_a_transcript_come_in(
    ada: Any, document: dict[str, Any], engines: Any, consumers: ConsumerApp, rabbitmq_url: str
) -> None:
    wav = b"RIFF\x24\x00\x00\x00WAVEfmt " + new_id().bytes
    sample = (await ada.upload(document["project_id"], wav, filename="a.wav", kind="voice-samples")).json()

    await publish(rabbitmq_url, engines.failed(document, code="password_protected"))
    await publish(rabbitmq_url, await engines.transcribed(sample))

    async def both() -> bool:
        one = (await ada.http.get(f"/v1/documents/{document['id']}")).json()
        other = (await ada.http.get(f"/v1/voice-samples/{sample['id']}")).json()
        return (one["status"], other["status"]) == ("failed", "completed")

    await eventually(both)
    failed = (await ada.http.get(f"/v1/documents/{document['id']}")).json()
    assert failed["error"]["code"] == "password_protected"


async def test_a_registration_lets_the_invited_in(
    ada: Any, bob: Any, document: dict[str, Any], consumers: ConsumerApp, rabbitmq_url: str
) -> None:
    path = f"/v1/projects/{document['project_id']}"
    await ada.http.post(f"{path}/members", json={"email": bob.email, "role": "viewer"})

    await publish(rabbitmq_url, bob.registered())

    async def is_in() -> bool:
        return bool((await bob.http.get(path)).status_code == 200)

    await eventually(is_in)


async def test_with_partitions_the_events_of_an_item_are_taken_in_one_after_the_other(
    ada: Any, document: dict[str, Any], engines: Any, database: FreshDatabase, engine: AsyncEngine, rabbitmq_url: str
) -> None:
    settings = ProjectsWorkerSettings(
        **database.settings("projects").model_dump(), rabbitmq_url=rabbitmq_url, results_partitions=2
    )
    app = create_consumer_app(settings, engine)
    await app.start()
    try:
        for done in (1, 2, 3):
            await publish(rabbitmq_url, engines.progressed(document, done))
        await publish(rabbitmq_url, await engines.completed(document))

        async def is_done() -> bool:
            return bool((await ada.http.get(f"/v1/documents/{document['id']}")).json()["status"] == "completed")

        await eventually(is_done)
        async with await aio_pika.connect(rabbitmq_url) as connection:
            await (await connection.channel()).get_queue(partition_of(QUEUE, 1))
    finally:
        await app.stop()


async def test_a_registration_counts_once_and_a_late_one_does_no_harm(
    ada: Any, bob: Any, document: dict[str, Any], consumers: ConsumerApp, rabbitmq_url: str, sessions: Sessions
) -> None:
    path = f"/v1/projects/{document['project_id']}"
    await ada.http.post(f"{path}/members", json={"email": bob.email, "role": "viewer"})
    registered = bob.registered()

    for event in (registered, registered, bob.registered()):
        await publish(rabbitmq_url, event)
        await eventually(lambda event=event: is_handled(sessions, event))

    members = (await ada.http.get(f"{path}/members")).json()["items"]
    assert len([member for member in members if member["user_id"] == str(registered.user_id)]) == 1
    assert await audited(sessions, str(registered.user_id), "member.joined") == 1


def test_what_is_heard_is_what_is_documented(consumers: ConsumerApp) -> None:
    assert_hears_what_is_documented("projects", consumers._consumers)


async def test_poison_goes_to_the_dead_letters_and_stops_nobody(
    ada: Any, document: dict[str, Any], engines: Any, consumers: ConsumerApp, rabbitmq_url: str
) -> None:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("ocr.events")
        for body in (b"not json", b'{"id": "x"}', b'{"id": "' + str(new_id()).encode() + b'", "data": {"pages": "x"}}'):
            await exchange.publish(aio_pika.Message(body), "ocr.document.completed.v1")
        await publish(rabbitmq_url, await engines.completed(document))
        dead = await channel.get_queue(dead_queue_of(QUEUE))

        async def is_done() -> bool:
            read = (await ada.http.get(f"/v1/documents/{document['id']}")).json()
            return bool(read["status"] == "completed")

        async def are_dead() -> bool:
            count = (await channel.declare_queue(dead.name, passive=True)).declaration_result.message_count
            return count == 3

        await eventually(is_done)
        await eventually(are_dead)


async def test_words_that_the_database_cannot_keep_do_not_lose_the_event(
    ada: Any, document: dict[str, Any], engines: Any, consumers: ConsumerApp, rabbitmq_url: str
) -> None:
    await publish(rabbitmq_url, engines.failed(document, detail="The file\x00 is damaged."))

    async def is_failed() -> bool:
        return bool((await ada.http.get(f"/v1/documents/{document['id']}")).json()["status"] == "failed")

    await eventually(is_failed)
    failed = (await ada.http.get(f"/v1/documents/{document['id']}")).json()
    assert failed["error"]["detail"] == "The file is damaged."


def test_settings_of_the_worker_need_a_broker(database: FreshDatabase) -> None:
    values = database.settings("projects").model_dump()
    settings = ProjectsWorkerSettings(**values, rabbitmq_url="amqp://localhost/")

    assert isinstance(settings.postgres_password, SecretStr)
    assert settings.results_prefetch == 10
