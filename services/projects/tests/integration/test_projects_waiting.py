"""Long polls: `?wait=` answers as soon as there is news."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.audit import AuditTrail
from alta_common.db.engine import Sessions
from alta_common.inbox import Inbox
from alta_common.testing import eventually
from alta_projects.application.audit import ProjectAudit
from alta_projects.application.results import ResultService
from alta_projects.models.document import Document
from alta_projects.repositories.changes import ChangeAnnouncer

BEFORE_THE_NEXT_LOOK = 25
"""Seconds; whoever missed the news would look by itself after 30."""


@pytest.fixture
def results(sessions: Sessions, engine: AsyncEngine) -> ResultService:
    audit = ProjectAudit(AuditTrail("projects"))
    return ResultService(sessions, Inbox("projects"), audit, ChangeAnnouncer(engine))


@pytest.fixture
async def document(ada: Any) -> dict[str, Any]:
    return await ada.document((await ada.project())["id"], b"%PDF-1.7 " + bytes(range(256)) * 4, filename="a.pdf")


@pytest.mark.parametrize("wait", ["-1", "61", "soon"])
async def test_a_wrong_wait_is_refused(ada: Any, document: dict[str, Any], wait: str) -> None:
    refused = await ada.http.get(f"/v1/documents/{document['id']}", params={"wait": wait})

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/query/wait")


async def test_a_waiting_client_hears_of_the_result_at_once(
    api: Any, ada: Any, document: dict[str, Any], results: ResultService, engines: Any
) -> None:
    feed = api.app.state.use_cases.items._feed
    await asyncio.wait_for(feed.is_listening.wait(), 60)
    waiting = [
        asyncio.create_task(ada.http.get(f"/v1/documents/{document['id']}", params={"wait": 60})) for _ in range(20)
    ]
    await eventually(lambda: len(feed._waiters.get(document["id"], ())) == 20)

    await results.record_completion(Document, await engines.completed(document))
    async with asyncio.timeout(BEFORE_THE_NEXT_LOOK):
        answers = await asyncio.gather(*waiting)

    assert {answer.json()["status"] for answer in answers} == {"completed"}
    assert not feed._waiters


async def test_a_waiting_client_hears_of_progress(
    api: Any, ada: Any, document: dict[str, Any], results: ResultService, engines: Any
) -> None:
    path, feed = f"/v1/documents/{document['id']}", api.app.state.use_cases.items._feed
    await asyncio.wait_for(feed.is_listening.wait(), 60)
    await results.record_progress(Document, engines.progressed(document, 1))
    waiting = asyncio.create_task(ada.http.get(path, params={"wait": 30}))
    await eventually(lambda: document["id"] in feed._waiters)

    await results.record_progress(Document, engines.progressed(document, 2))
    answer = await waiting

    assert (answer.json()["status"], answer.json()["progress"]["done"]) == ("processing", 2)


async def test_a_wait_that_is_over_answers_with_what_is(ada: Any, document: dict[str, Any]) -> None:
    begun = time.monotonic()

    answer = await ada.http.get(f"/v1/documents/{document['id']}", params={"wait": 1})

    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert time.monotonic() - begun > 0.9


async def test_what_is_final_or_unknown_to_the_client_is_answered_at_once(
    ada: Any, document: dict[str, Any], results: ResultService, engines: Any
) -> None:
    path = f"/v1/documents/{document['id']}"

    async with asyncio.timeout(BEFORE_THE_NEXT_LOOK):
        news = await ada.http.get(path, params={"wait": 60}, headers={"If-None-Match": '"0"'})
        await results.record_completion(Document, await engines.completed(document))
        final = await ada.http.get(path, params={"wait": 60})

    assert (news.json()["status"], final.json()["status"]) == ("queued", "completed")


async def test_a_waiting_client_hears_that_the_document_is_gone(api: Any, ada: Any, document: dict[str, Any]) -> None:
    path, feed = f"/v1/documents/{document['id']}", api.app.state.use_cases.items._feed
    await asyncio.wait_for(feed.is_listening.wait(), 60)
    waiting = asyncio.create_task(ada.http.get(path, params={"wait": 30}))
    await eventually(lambda: document["id"] in feed._waiters)

    await ada.http.delete(path)

    assert (await asyncio.wait_for(waiting, 60)).status_code == 404


async def test_nobody_waits_longer_than_the_process_runs(api: Any, ada: Any, document: dict[str, Any]) -> None:
    feed = api.app.state.use_cases.items._feed
    waiting = asyncio.create_task(ada.http.get(f"/v1/documents/{document['id']}", params={"wait": 30}))
    await eventually(lambda: document["id"] in feed._waiters)

    feed.release()

    assert (await asyncio.wait_for(waiting, 60)).json()["status"] == "queued"
