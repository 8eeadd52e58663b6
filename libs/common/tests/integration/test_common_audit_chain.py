import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from alta_common.audit import AuditEntry, AuditTrail, AuditVerification
from alta_common.db.engine import Sessions
from alta_common.ids import new_id
from alta_common.telemetry.context import bind_request

audit = AuditTrail("projects")


def an_entry(stream: UUID | None, action: str = "document.uploaded", **details: Any) -> AuditEntry:
    return AuditEntry(
        actor_id=new_id(), action=action, subject_type="document", subject_id=new_id(), stream=stream, details=details
    )


async def record(sessions: Sessions, *entries: AuditEntry) -> None:
    async with sessions.begin() as session:
        for entry in entries:
            await audit.record(session, entry)


async def verify(sessions: Sessions, stream: UUID | None) -> AuditVerification:
    async with sessions() as session:
        return await audit.verify(session, stream)


async def tamper(superuser: asyncpg.Connection, statement: str, *values: Any) -> None:
    """Change what only an administrator with the trigger switched off can."""
    async with superuser.transaction():
        await superuser.execute("SET LOCAL session_replication_role = 'replica'")
        assert not (await superuser.execute(statement, *values)).endswith(" 0")


async def test_an_untouched_chain_is_intact(sessions: Sessions) -> None:
    project = new_id()

    await record(sessions, *(an_entry(project, name=f"Grüße {number}", pages=number, share=0.1) for number in range(5)))

    assert await verify(sessions, project) == AuditVerification(True, 5)
    assert await verify(sessions, new_id()) == AuditVerification(True, 0)


async def test_details_are_hashed_as_they_are_read_back(sessions: Sessions) -> None:
    odd = {"float": 1e22, "tiny": 1e-7, "zero": -0.0, "big": 2**70, "list": [None, True, {"b": 1, "a": "\u2028\x00"}]}

    await record(sessions, an_entry(None, **odd))

    assert (await verify(sessions, None)).intact


async def test_a_record_says_who_what_from_where(sessions: Sessions) -> None:
    entry = an_entry(new_id(), filename="a.pdf")

    with bind_request("request-7", "203.0.113.9"):
        await record(sessions, entry)

    async with sessions() as session:
        (found,) = await audit.list(session, stream=entry.stream)
    assert found.entry == entry
    assert (found.request_id, found.client_address, found.seq) == ("request-7", "203.0.113.9", 1)


async def test_pages_go_from_new_to_old(sessions: Sessions) -> None:
    project = new_id()
    await record(sessions, *(an_entry(project, f"step.{number}") for number in range(5)), an_entry(new_id()))

    async with sessions() as session:
        first = await audit.list(session, stream=project, limit=3)
        second = await audit.list(session, stream=project, limit=3, before=first[-1].id)
        by_actor = await audit.list(session, actor_id=first[0].entry.actor_id)
        by_action = await audit.list(session, stream=project, action="step.2")

    assert [record.entry.action for record in (*first, *second)] == [f"step.{number}" for number in (4, 3, 2, 1, 0)]
    assert len(by_actor) == len(by_action) == 1


async def test_entries_at_the_same_time_make_one_chain(sessions: Sessions) -> None:
    project = new_id()

    await asyncio.gather(*(record(sessions, an_entry(project), an_entry(project)) for _ in range(10)))

    assert await verify(sessions, project) == AuditVerification(True, 20)


async def test_a_rolled_back_entry_leaves_no_gap(sessions: Sessions) -> None:
    project = new_id()
    await record(sessions, an_entry(project))
    async with sessions() as session:
        await audit.record(session, an_entry(project))
        await session.rollback()
    await record(sessions, an_entry(project))

    assert await verify(sessions, project) == AuditVerification(True, 2)


async def test_changing_and_removing_are_refused(sessions: Sessions, superuser: asyncpg.Connection) -> None:
    await record(sessions, an_entry(new_id()))

    for statement in (
        "UPDATE projects.audit_log SET action = 'x'",
        "DELETE FROM projects.audit_log",
        "TRUNCATE projects.audit_log",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await superuser.execute(statement)


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE projects.audit_log SET action = 'document.read' WHERE seq = 3", 3),
        ("UPDATE projects.audit_log SET details = '{\"pages\":2}' WHERE seq = 3", 3),
        ("UPDATE projects.audit_log SET actor_id = NULL WHERE seq = 3", 3),
        ("UPDATE projects.audit_log SET occurred_at = occurred_at + interval '1 microsecond' WHERE seq = 3", 3),
        ("DELETE FROM projects.audit_log WHERE seq = 3", 3),
        ("DELETE FROM projects.audit_log WHERE seq = 5", 5),
        ("UPDATE projects.audit_head SET seq = 4", 5),
    ],
)
async def test_tampering_shows(
    sessions: Sessions, superuser: asyncpg.Connection, statement: str, broken_at: int
) -> None:
    project = new_id()
    await record(sessions, *(an_entry(project, pages=1) for _ in range(5)))

    await tamper(superuser, statement)

    verification = await verify(sessions, project)
    assert not verification.intact
    assert verification.reason
    assert verification.broken_at in {broken_at, broken_at - 1}
