"""Ids are not committed in their order: an aggregate's first event may have an id that was passed long ago."""

from collections import defaultdict
from contextlib import AsyncExitStack

import orjson
from sqlalchemy import text

from alta_common.ids import new_id
from alta_common.testing import eventually

_BACKLOG = 5000
_LATE = 4
_AGGREGATES_EACH = 40


async def test_no_event_overtakes_one_whose_lower_id_was_committed_late(run_relay, tables, writer, observed) -> None:
    async with AsyncExitStack() as stack:
        late = []
        for _ in range(_LATE):
            session = await stack.enter_async_context(writer.sessions())
            # Nobody has forgotten it, however long a slow machine takes for the others.
            await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            projects = [new_id() for _ in range(_AGGREGATES_EACH)]
            await writer.outbox.add(session, *(writer.event("first", project) for project in projects))
            late.append((session, projects))
        for _ in range(_BACKLOG // 500):
            await writer.write(*(writer.event("beside it") for _ in range(500)))

        # So few on their way at once that most of the backlog is read after the late ones were committed.
        async with run_relay(window=20, batch_size=100):
            for number, (session, projects) in enumerate(late):
                await eventually(lambda number=number: _went_out(writer, (number + 1) * 800))
                # The second ones get the highest ids, and become visible in the same moment as the first ones.
                await writer.outbox.add(session, *(writer.event("second", project) for project in projects))
                await session.commit()
            await eventually(writer.is_empty)

    order: dict[str, list[str]] = defaultdict(list)
    for message in await observed.take():
        envelope = orjson.loads(message.body)
        order[envelope["partitionkey"]].append(envelope["data"]["name"])
    expected = {str(project): ["first", "second"] for _, projects in late for project in projects}
    assert {project: names for project, names in order.items() if names != ["beside it"]} == expected
    assert len(order) == _BACKLOG + _LATE * _AGGREGATES_EACH


async def _went_out(writer, count: int) -> bool:
    return await writer.superuser.fetchval("SELECT count(*) FROM projects.outbox_pending") <= _BACKLOG - count
