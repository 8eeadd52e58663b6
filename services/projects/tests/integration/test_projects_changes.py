"""News between processes survive a lost connection."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.ids import new_id
from alta_common.testing import eventually
from alta_common.testing.postgres import FreshDatabase
from alta_projects.repositories.changes import ChangeAnnouncer, ChangeFeed


@pytest.fixture
async def feed(engine: AsyncEngine) -> AsyncIterator[ChangeFeed]:
    feed = ChangeFeed(engine)
    feed.start()
    await asyncio.wait_for(feed.is_listening.wait(), 60)
    yield feed
    await feed.stop()


async def test_news_reach_those_who_wait_for_it_and_nobody_else(feed: ChangeFeed, engine: AsyncEngine) -> None:
    one, other = new_id(), new_id()

    with feed.watch(one) as changed, feed.watch(other) as unchanged:
        await ChangeAnnouncer(engine).announce(one, new_id())
        await asyncio.wait_for(changed.wait(), 60)

        assert not unchanged.is_set()
    assert not feed._waiters


async def test_a_lost_connection_wakes_everybody_and_is_made_again(
    feed: ChangeFeed, engine: AsyncEngine, database: FreshDatabase
) -> None:
    item_id = new_id()
    superuser = await asyncpg.connect(database.superuser_dsn)

    with feed.watch(item_id) as changed:
        await superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'projects-changes' "
            "AND datname = current_database()"
        )
        await eventually(lambda: not feed.is_listening.is_set())
        await asyncio.wait_for(changed.wait(), 60)
        changed.clear()
        await asyncio.wait_for(feed.is_listening.wait(), 60)
        await ChangeAnnouncer(engine).announce(item_id, new_id())
        await asyncio.wait_for(changed.wait(), 60)
    await superuser.close()


async def test_news_that_cannot_be_spread_harm_nobody(database: FreshDatabase) -> None:
    from alta_common.db.engine import create_engine

    settings = database.settings("projects").model_copy(update={"postgres_port": 1})
    engine = create_engine(settings, application_name="nowhere")

    await ChangeAnnouncer(engine).announce(new_id(), new_id())

    await engine.dispose()
