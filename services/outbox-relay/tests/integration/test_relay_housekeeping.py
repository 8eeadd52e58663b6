"""What a relay does beside relaying, with no more rights than its role has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from structlog.testing import capture_logs

from alta_common.clock import utc_now
from alta_common.testing import eventually
from alta_outbox_relay.housekeeping import Housekeeper
from alta_outbox_relay.session import OutboxSession

SCHEMA = "projects"
DAYS_AHEAD, DAYS_KEPT = 9, 30
TODAY = utc_now().date()
LONG_AGO = TODAY - timedelta(days=DAYS_KEPT + 1)

pytestmark = pytest.mark.usefixtures("tables")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it measure often. Partitions remain something for every hour."""
    monkeypatch.setattr("alta_outbox_relay.housekeeping._MEASURE_SECONDS", 0.2)
    monkeypatch.setattr("alta_outbox_relay.housekeeping._PAUSE_FOR_ITS_COST", 1)


@asynccontextmanager
async def keeping_house(writer) -> AsyncIterator[list[Any]]:
    """Keep house; yields what is logged meanwhile."""
    connect = partial(OutboxSession.open, writer.database.settings("relay"), SCHEMA)
    with capture_logs() as logs:
        task = asyncio.ensure_future(Housekeeper(SCHEMA, connect, DAYS_AHEAD, DAYS_KEPT).run())
        try:
            yield logs
        finally:
            task.cancel()
            await asyncio.wait([task])


def measured(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"alta_outbox_{name}", {"schema": SCHEMA})


def name_of(day: date) -> str:
    return f"projects.outbox_event_{day:%Y%m%d}"


async def exists(writer, day: date) -> bool:
    return await writer.superuser.fetchval("SELECT to_regclass($1) IS NOT NULL", name_of(day))


async def make_old_day(writer) -> None:
    owner = await asyncpg.connect(writer.database.settings(SCHEMA).postgres_dsn)
    bounds = f"FROM ('{LONG_AGO}Z') TO ('{LONG_AGO + timedelta(days=1)}Z')"
    await owner.execute(f"CREATE TABLE {name_of(LONG_AGO)} PARTITION OF projects.outbox_event FOR VALUES {bounds}")
    await owner.close()


async def test_days_are_made_ahead_and_old_ones_dropped(writer) -> None:
    await make_old_day(writer)

    async with keeping_house(writer) as logs:
        (line,) = await eventually(lambda: [line for line in logs if line["event"] == "outbox.partitions_changed"])

    assert (line["schema"], line["made"], line["dropped"]) == (SCHEMA, 2, 1)
    assert await exists(writer, TODAY + timedelta(days=DAYS_AHEAD))
    assert not await exists(writer, LONG_AGO)


async def test_the_backlog_is_measured(writer) -> None:
    await writer.write(*(writer.event() for _ in range(3)))
    async with keeping_house(writer):
        await eventually(lambda: (measured("depth"), measured("parked")) == (3, 0))
        age = measured("oldest_pending_seconds")
        await writer.superuser.execute(
            "WITH gone AS (DELETE FROM projects.outbox_pending WHERE id = 1 RETURNING *) "
            "INSERT INTO projects.outbox_parked SELECT id, shard, created_at, aggregate_id, 1, 'refused' FROM gone"
        )
        await eventually(lambda: (measured("depth"), measured("parked")) == (2, 1))
        await eventually(lambda: measured("oldest_pending_seconds") > age)
        await writer.superuser.execute("DELETE FROM projects.outbox_pending")
        await eventually(lambda: (measured("depth"), measured("oldest_pending_seconds")) == (0, 0))


async def test_writers_go_on_while_somebody_reads_what_is_to_be_dropped(writer) -> None:
    await make_old_day(writer)
    async with writer.superuser.transaction():
        # As a backup does: it keeps its locks on all tables until its end.
        await writer.superuser.fetch("SELECT FROM projects.outbox_event")
        async with keeping_house(writer) as logs:
            for depth in range(1, 6):
                async with writer.sessions.begin() as session:
                    await session.execute(text("SET LOCAL lock_timeout = '1s'"))
                    await writer.outbox.add(session, writer.event())
                await eventually(lambda depth=depth: measured("depth") == depth)

    assert not logs
    assert await exists(writer, LONG_AGO)


async def test_partitions_that_cannot_be_tended_are_left_alone_for_a_while(writer) -> None:
    await writer.superuser.execute("REVOKE EXECUTE ON FUNCTION projects.outbox_drop_partitions FROM alta_relay")

    async with keeping_house(writer) as logs:
        await eventually(lambda: logs)
        for depth in range(1, 4):
            await writer.write(writer.event())
            await eventually(lambda depth=depth: measured("depth") == depth)

    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["outbox.housekeeping_failed"]
