"""What the worker does regularly, as it is put together."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.db.engine import Sessions
from alta_common.outbox import Outbox
from alta_common.storage.filesystem import FilesystemObjectStorage
from alta_common.testing import eventually
from alta_common.testing.postgres import FreshDatabase
from alta_projects.settings import ProjectsWorkerSettings
from alta_projects.worker import create_jobs

OVERDUE = "UPDATE projects.media_item SET deadline_at = now() - interval '16 minutes' WHERE id = :id"
FAILED_A_WHILE_AGO = """
UPDATE projects.media_item SET untold_failure_at = untold_failure_at - interval '11 seconds' WHERE id = :id
"""
MAILS = "SELECT convert_from(body, 'UTF8') FROM projects.outbox_event WHERE event_type = 'EMAIL_SEND_REQUESTED'"


async def test_what_is_overdue_fails_its_owner_is_told_and_what_is_deleted_is_swept(
    ada: Any,
    bob: Any,
    join: Any,
    database: FreshDatabase,
    engine: AsyncEngine,
    sessions: Sessions,
    storage: FilesystemObjectStorage,
) -> None:
    settings = ProjectsWorkerSettings(
        **database.settings("projects").model_dump(),
        rabbitmq_url="amqp://localhost/",
        sweep_interval_seconds=0.05,
        run_watch_interval_seconds=0.05,
        failure_mail_check_seconds=0.05,
    )
    project = await ada.project()
    await join(ada, project["id"], bob, "contributor")
    overdue = await bob.document(project["id"], b"%PDF-overdue", filename="overdue.pdf")
    deleted = await bob.document(project["id"], b"%PDF-deleted")
    original = storage._root / f"documents/{project['id']}/{deleted['id']}/original"

    async def change(statement: str) -> None:
        async with sessions.begin() as session:
            await session.execute(text(statement), {"id": overdue["id"]})

    async def has_failed() -> bool:
        return bool((await bob.http.get(f"/v1/documents/{overdue['id']}")).json()["status"] == "failed")

    async def is_told() -> bool:
        async with sessions() as session:
            mails = (await session.execute(text(MAILS))).scalars().all()
        return any("overdue.pdf" in mail and bob.email in mail for mail in mails)

    async with create_jobs(settings, engine, storage, Outbox("projects")).running(settings):
        await change(OVERDUE)
        await eventually(has_failed, 60)
        await change(FAILED_A_WHILE_AGO)
        await eventually(is_told, 60)
        await bob.http.delete(f"/v1/documents/{deleted['id']}")
        await eventually(lambda: not original.exists(), 60)
