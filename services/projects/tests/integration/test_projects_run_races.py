"""Everything at once to one document, again and again: whatever wins, the books balance."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from alta_common.db.engine import Sessions
from alta_projects.application.results import ResultService
from alta_projects.models.document import Document

ROUNDS = 12


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_books_balance_whatever_comes_first(
    ada: Any, results: ResultService, engines: Any, owed: Any, audited: Any, sessions: Sessions, seed: int
) -> None:
    choice = random.Random(seed)
    document = await ada.document((await ada.project())["id"])
    path, told, statuses = f"/v1/documents/{document['id']}", [], []

    async def call(name: str) -> None:
        statuses.append((await ada.http.post(f"{path}/{name}")).status_code)

    for _ in range(ROUNDS):
        present = (await ada.http.get(path)).json()
        completed = await engines.completed(present)
        told.append(completed.result_key)
        steps: list[Callable[[], Awaitable[None]]] = [
            partial(call, "cancel"),
            partial(call, "reprocess"),
            partial(call, "reprocess"),
            partial(results.record_progress, Document, engines.progressed(present, 1)),
            partial(results.record_completion, Document, completed),
            partial(results.record_completion, Document, completed),
            partial(results.record_failure, Document, engines.failed(present)),
        ]
        choice.shuffle(steps)
        await asyncio.gather(*(step() for step in steps))

    last = (await ada.http.get(path)).json()
    revisions = (await ada.http.get(f"{path}/revisions")).json()["items"]
    types = await owed.types(document["id"])
    actions = [action for action, _ in await audited.of(document["id"])]
    assert set(statuses) <= {202, 409}
    assert types.count("DOCUMENT_OCR_REQUESTED") == last["attempt"] == actions.count("document.reprocessed") + 1
    assert types.count("DOCUMENT_OCR_CANCELLED") == actions.count("document.cancelled")
    assert [one["revision"] for one in revisions] == list(range(last["revision"], 0, -1))
    assert len(revisions) == actions.count("document.completed")
    assert len({one["attempt"] for one in revisions}) == len(revisions)
    async with sessions() as session:
        kept = set((await session.execute(text("SELECT result_key FROM projects.result_revision"))).scalars())
        swept = set((await session.execute(text("SELECT object_key FROM projects.unclaimed_object"))).scalars())
    assert set(told) <= kept | swept
    assert not kept & swept
