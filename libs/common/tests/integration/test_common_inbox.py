import asyncio
from datetime import timedelta

from alta_common.clock import utc_now
from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_common.inbox import Inbox

inbox = Inbox("projects")


async def test_an_event_is_new_once_for_each_consumer(sessions: Sessions) -> None:
    event_id = new_id()

    async with sessions.begin() as session:
        assert await inbox.first_time(session, event_id, "results")
        assert await inbox.first_time(session, event_id, "digest")
    async with sessions.begin() as session:
        assert not await inbox.first_time(session, event_id, "results")
        assert await inbox.first_time(session, new_id(), "results")


async def test_a_rolled_back_event_is_still_new(sessions: Sessions) -> None:
    event_id = new_id()
    async with sessions() as session:
        assert await inbox.first_time(session, event_id, "results")
        await session.rollback()

    async with sessions.begin() as session:
        assert await inbox.first_time(session, event_id, "results")


async def test_of_two_at_once_one_has_the_effect(sessions: Sessions) -> None:
    event_id = new_id()

    async def handle() -> bool:
        async with sessions.begin() as session:
            return await inbox.first_time(session, event_id, "results")

    assert sorted(await asyncio.gather(*(handle() for _ in range(4)))) == [False, False, False, True]


async def test_old_events_are_forgotten(sessions: Sessions) -> None:
    event_id = new_id()
    async with sessions.begin() as session:
        await inbox.first_time(session, event_id, "results")

    async with sessions.begin() as session:
        await inbox.forget(session, utc_now() - timedelta(days=1))
        assert not await inbox.first_time(session, event_id, "results")
    async with sessions.begin() as session:
        await inbox.forget(session, utc_now() + timedelta(seconds=1))
        assert await inbox.first_time(session, event_id, "results")
