import asyncio

import pytest

from alta_common.messaging.broker import when_there

URL = "amqp://guest:guest@127.0.0.1:9/"


async def test_whoever_waits_for_the_broker_stops_when_told_though_the_client_names_its_own_failure() -> None:
    async def connect() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            # What `asyncio.wait_for` does in Python 3.11 when both come at once.
            raise ConnectionRefusedError from None

    begun = asyncio.Event()
    waiting = asyncio.create_task(when_there(URL, connect))
    await begun.wait()

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 60)


async def test_a_cancellation_that_nobody_asked_for_is_a_broker_that_is_not_there() -> None:
    async def connect() -> str:
        attempts.append("asked")
        if len(attempts) == 1:
            raise asyncio.CancelledError
        return "connected"

    attempts: list[str] = []

    assert await when_there(URL, connect) == "connected"
