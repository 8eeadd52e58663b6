"""Who is written to about what could not be read: each failure once, many in one mail."""

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from alta_common.contracts.event import MAX_EVENT_BYTES
from alta_common.db.engine import Sessions
from alta_common.outbox import Outbox
from alta_projects.application.failure_mail import FailureMail
from alta_projects.application.results import ResultService
from alta_projects.models.document import Document

MAILS = """
SELECT body FROM projects.outbox_event WHERE event_type = 'EMAIL_SEND_REQUESTED' ORDER BY id
"""


@pytest.fixture
def mail(sessions: Sessions) -> FailureMail:
    return FailureMail(sessions, Outbox("projects"), pause=timedelta(minutes=15))


@pytest.fixture
async def project(api: Any, ada: Any, bob: Any, join: Any) -> dict[str, Any]:
    """A project of Ada's to which Bob contributes. Ada is known to us too, by a place in a project of Bob's."""
    project = await ada.project("Letters")
    await join(ada, project["id"], bob, "contributor")
    await join(bob, (await bob.project())["id"], ada, "viewer")
    return project


class Failing:
    """Lets documents fail, long enough ago."""

    def __init__(self, sessions: Sessions, results: ResultService, engines: Any) -> None:
        self._sessions, self._results, self._engines = sessions, results, engines

    async def document(self, who: Any, project: dict[str, Any], filename: str, **more: Any) -> dict[str, Any]:
        document = await who.document(project["id"], b"%PDF-" + filename.encode(), filename=filename)
        await self.fail(document, **more)
        return document

    async def fail(self, document: dict[str, Any], *, seconds_ago: int = 11, **more: Any) -> None:
        await self._results.record_failure(Document, self._engines.failed(document, **more))
        ago = "UPDATE projects.media_item SET untold_failure_at = now() - make_interval(secs => :ago) WHERE id = :id"
        async with self._sessions.begin() as session:
            await session.execute(text(ago), {"ago": seconds_ago, "id": document["id"]})

    async def mails(self, to: Any) -> list[dict[str, Any]]:
        async with self._sessions() as session:
            bodies = (await session.execute(text(MAILS))).scalars().all()
        sent = [orjson.loads(body)["data"] for body in bodies]
        return [one["values"] for one in sent if (one["template"], one["to"]) == ("items_failed", to.email)]


@pytest.fixture
def failing(sessions: Sessions, results: ResultService, engines: Any) -> Failing:
    return Failing(sessions, results, engines)


async def test_the_failures_of_one_person_in_one_project_are_one_mail(
    ada: Any, bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail
) -> None:
    await failing.document(bob, project, "births.pdf")
    await failing.document(bob, project, "deaths.pdf", detail="It took too long.", code="timeout", retryable=True)
    await failing.document(ada, project, "weddings.pdf")

    await mail.tell()
    await mail.tell()

    (to_bob,), (to_ada,) = await failing.mails(bob), await failing.mails(ada)
    assert (to_bob["project_name"], to_bob["count"], to_ada["count"]) == ("Letters", "2", "1")
    assert orjson.loads(to_bob["items"]) == [
        {"filename": "births.pdf", "detail": "The file is damaged.", "retryable": False},
        {"filename": "deaths.pdf", "detail": "It took too long.", "retryable": True},
    ]


async def test_what_has_just_failed_waits_for_more(
    bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail
) -> None:
    # As far in the future as a slow machine may take until the next line.
    await failing.document(bob, project, "a.pdf", seconds_ago=-300)

    await mail.tell()

    assert await failing.mails(bob) == []


async def test_of_many_failures_twenty_are_named_and_the_mail_stays_small(
    bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail, sessions: Sessions
) -> None:
    for number in range(22):
        long_name = f"{number:02}" + "\N{SMILING FACE WITH OPEN MOUTH}" * 240
        await failing.document(bob, project, long_name, detail="\N{GRINNING FACE}" * 2000)

    await mail.tell()

    (told,) = await failing.mails(bob)
    shown = orjson.loads(told["items"])
    assert (told["count"], len(shown), shown[0]["filename"][:3]) == ("22", 20, "00\N{SMILING FACE WITH OPEN MOUTH}")
    assert all(one["filename"].endswith("…") and len(one["detail"]) == 300 for one in shown)
    async with sessions() as session:
        assert max(len(body) for body in (await session.execute(text(MAILS))).scalars()) < MAX_EVENT_BYTES


async def test_what_is_deleted_or_read_again_is_left_out(
    bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail, results: ResultService, engines: Any
) -> None:
    deleted, again, healed, kept = [
        await failing.document(bob, project, name) for name in ("deleted.pdf", "again.pdf", "healed.pdf", "kept.pdf")
    ]
    await bob.http.delete(f"/v1/documents/{deleted['id']}")
    await bob.http.post(f"/v1/documents/{again['id']}/reprocess")
    await results.record_completion(Document, await engines.completed(healed))

    await mail.tell()

    (told,) = await failing.mails(bob)
    assert [one["filename"] for one in orjson.loads(told["items"])] == [kept["filename"]]


async def test_later_failures_wait_for_the_pause_and_then_come_together(
    bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail, sessions: Sessions
) -> None:
    await failing.document(bob, project, "first.pdf")
    await mail.tell()
    for name in ("second.pdf", "third.pdf"):
        await failing.document(bob, project, name)
        await mail.tell()
    assert len(await failing.mails(bob)) == 1

    async with sessions.begin() as session:
        later = "UPDATE projects.member SET failures_told_at = failures_told_at - interval '16 minutes'"
        await session.execute(text(later))
    await mail.tell()

    assert [told["count"] for told in await failing.mails(bob)] == ["1", "2"]


async def test_replicas_that_tell_at_once_tell_once(
    bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail
) -> None:
    for number in range(3):
        await failing.document(bob, project, f"{number}.pdf")

    await asyncio.gather(*(mail.tell() for _ in range(4)))
    await mail.tell()

    assert [told["count"] for told in await failing.mails(bob)] == ["3"]


async def test_a_crash_before_the_commit_loses_no_mail(
    bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail, sessions: Sessions
) -> None:
    class DyingOutbox(Outbox):
        async def add(self, *args: Any, **more: Any) -> None:
            await super().add(*args, **more)
            raise ConnectionResetError

    await failing.document(bob, project, "a.pdf")
    with pytest.raises(ConnectionResetError):
        await FailureMail(sessions, DyingOutbox("projects"), pause=timedelta(0)).tell()
    assert await failing.mails(bob) == []

    await mail.tell()

    assert len(await failing.mails(bob)) == 1


async def test_a_failure_that_is_being_changed_is_told_of_the_next_time(
    bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail, sessions: Sessions
) -> None:
    document = await failing.document(bob, project, "a.pdf")
    async with sessions.begin() as session:
        held = text("SELECT id FROM projects.media_item WHERE id = :id FOR UPDATE")
        await session.execute(held, {"id": document["id"]})
        await mail.tell()
    assert await failing.mails(bob) == []

    await mail.tell()

    assert len(await failing.mails(bob)) == 1


async def test_nobody_is_written_to_who_left_or_is_not_known(
    api: Any, ada: Any, bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail, sessions: Sessions
) -> None:
    stranger = api.somebody()
    failed = [
        await failing.document(bob, project, "a.pdf"),
        await failing.document(stranger, await stranger.project(), "b.pdf"),
    ]
    await ada.http.delete(f"/v1/projects/{project['id']}/members/{bob.user_id}")

    await mail.tell()

    assert await failing.mails(bob) == await failing.mails(stranger) == []
    async with sessions() as session:
        untold = text("SELECT untold_failure_at FROM projects.media_item WHERE id = ANY(:ids)")
        rows = await session.execute(untold, {"ids": [item["id"] for item in failed]})
        assert rows.scalars().all() == [None, None]


async def test_nobody_is_told_of_a_deleted_project(
    ada: Any, bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail
) -> None:
    await failing.document(bob, project, "a.pdf")
    await ada.http.delete(f"/v1/projects/{project['id']}")

    await mail.tell()

    assert await failing.mails(bob) == []


async def test_telling_is_no_news_of_the_document(
    bob: Any, project: dict[str, Any], failing: Failing, mail: FailureMail
) -> None:
    document = await failing.document(bob, project, "a.pdf")
    before = await bob.http.get(f"/v1/documents/{document['id']}")

    await mail.tell()

    after = await bob.http.get(f"/v1/documents/{document['id']}")
    assert (after.content, after.headers["ETag"]) == (before.content, before.headers["ETag"])
