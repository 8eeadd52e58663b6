"""The whole process, on real servers."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Protocol

import aio_pika
import asyncpg
import pytest
from cryptography.fernet import Fernet

from alta_common.contracts.identity import IdentityEmailRequested, UserRegistered
from alta_common.ids import new_id
from alta_common.messaging.topology import declare_topology
from alta_common.sealing import Sealer
from alta_common.testing import eventually
from alta_common.testing.messages import publish
from alta_common.testing.postgres import FreshDatabase
from alta_common.testing.proxy import proxied

KEY = Fernet.generate_key().decode()


class StartWorker(Protocol):
    async def __call__(self, **environment: str) -> asyncio.subprocess.Process: ...


@pytest.fixture
async def start_worker(rabbitmq_url: str, database: FreshDatabase, mail_server) -> AsyncIterator[StartWorker]:
    started: list[asyncio.subprocess.Process] = []
    environment = {
        "PATH": os.environ["PATH"],
        **database.environment("notifications"),
        "RABBITMQ_URL": rabbitmq_url,
        "MAIL_SEALING_KEY": KEY,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mail_server.port),
        "SMTP_FROM": "Alta Data <no-reply@alta.example>",
        "PUBLIC_URL": "https://alta.example",
        "INTERNAL_PORT": "0",
    }

    async def start(**more: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "alta_notifications.worker", env=environment | more
        )
        started.append(process)
        return process

    await declare_topology(rabbitmq_url)
    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


def a_verification() -> IdentityEmailRequested:
    return IdentityEmailRequested(
        email_id=new_id(), template="verify_email", to="ada@example.org", sealed=Sealer([KEY]).seal({"token": "t0ken"})
    )


async def test_an_event_becomes_a_mail_and_a_duplicate_does_not(
    start_worker: StartWorker, rabbitmq_url: str, mail_server
) -> None:
    worker = await start_worker()
    event = a_verification()
    welcome = UserRegistered(user_id=new_id(), email="ada@example.org", full_name="Ada")

    await publish(rabbitmq_url, event)
    await publish(rabbitmq_url, event)
    await publish(rabbitmq_url, welcome)
    await eventually(lambda: len(mail_server.mails) == 2)
    await eventually(lambda: is_empty(rabbitmq_url, "email_queue"))
    worker.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(worker.wait(), 60) == 0
    assert sorted(mail_server.message_ids) == sorted(f"<{one.event_id}@alta.example>" for one in (event, welcome))


async def test_what_cannot_be_sent_lies_with_the_dead_letters_says_why_and_stops_nobody(
    start_worker: StartWorker, rabbitmq_url: str, mail_server
) -> None:
    await start_worker()
    good = a_verification()

    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        await declare_topology(rabbitmq_url)
        await channel.default_exchange.publish(aio_pika.Message(b"no event at all"), "email_queue")
        await publish(rabbitmq_url, a_verification().model_copy(update={"template": "nothing"}))
        await publish(rabbitmq_url, good)
        dead = await channel.get_queue("email_queue.dead")
        messages = [await eventually(lambda: dead.get(fail=False, no_ack=True)) for _ in range(2)]
        await eventually(lambda: mail_server.mails)

    assert {message.headers["x-alta-reason"] for message in messages} == {"unreadable_message", "unknown_template"}
    assert mail_server.message_ids == [f"<{good.event_id}@alta.example>"]


async def test_a_worker_stops_cleanly_when_the_broker_has_fallen_silent(
    start_worker: StartWorker, rabbitmq_url: str, mail_server
) -> None:
    async with proxied(rabbitmq_url) as proxy:
        worker = await start_worker(RABBITMQ_URL=proxy.url)
        await publish(rabbitmq_url, a_verification())
        await eventually(lambda: mail_server.mails)

        proxy.fall_silent()
        worker.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(worker.wait(), 30) == 0


async def test_a_worker_killed_in_the_middle_loses_no_mail(
    start_worker: StartWorker, rabbitmq_url: str, mail_server, database: FreshDatabase
) -> None:
    worker = await start_worker()
    mail_server.gate.clear()
    event, other = a_verification(), a_verification()
    await publish(rabbitmq_url, event)
    await eventually(lambda: mail_server.waiting == 1)

    worker.kill()
    await worker.wait()
    # The server had the whole mail, and nobody to say so to.
    mail_server.gate.set()
    await end_claims(database)
    await publish(rabbitmq_url, other)
    await start_worker()

    wanted = f"<{other.event_id}@alta.example>"
    await eventually(lambda: wanted in mail_server.message_ids)
    again = f"<{event.event_id}@alta.example>"
    await eventually(lambda: again in mail_server.message_ids)


async def end_claims(database: FreshDatabase) -> None:
    """Let the half minute pass in which a mail belongs to the worker that took it, dead or alive."""
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        await connection.execute("UPDATE notifications.delivery SET lease_until = now()")
    finally:
        await connection.close()


async def is_empty(rabbitmq_url: str, name: str) -> bool:
    async with await aio_pika.connect(rabbitmq_url) as connection:
        queue = await (await connection.channel()).get_queue(name)
        return queue.declaration_result.message_count == 0
