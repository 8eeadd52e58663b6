"""Live events: all of them, in order, once, from where one left off, in every process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from asgi_lifespan import LifespanManager
from sqlalchemy import text

from alta_common.db.engine import Sessions
from alta_common.testing import eventually
from alta_common.testing.tokens import TokenMaker
from alta_projects.application.results import ResultService
from alta_projects.main import create_app, create_parts
from alta_projects.models.document import Document
from alta_projects.models.voice_sample import VoiceSample
from alta_projects.settings import ProjectsSettings

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)
Block = dict[str, str]


@dataclass
class Stream:
    """One client's side of an event stream, as a browser's EventSource reads it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    is_over: bool = False
    is_taking: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def blocks(self) -> list[Block]:
        return [
            dict(line.partition(": ")[::2] for line in block.split("\n") if not line.startswith(":"))
            for block in self.text.split("\n\n")[:-1]
        ]

    @property
    def events(self) -> list[Block]:
        return [block for block in self.blocks if "event" in block]

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]

    @property
    def last_id(self) -> str:
        return [block["id"] for block in self.blocks if "id" in block][-1]

    async def has(self, *names: str) -> list[Block]:
        """The events, once they are these."""
        await eventually(lambda: len(self.names) >= len(names), what=f"{names}")
        assert self.names == list(names)
        return self.events


@asynccontextmanager
async def follow(app: Any, headers: dict[str, str], project_id: str, after: str | None = None) -> AsyncIterator[Stream]:
    """Open a stream; the client goes away at the end of the block."""
    stream, gone = Stream(), asyncio.Event()
    stream.is_taking.set()
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw += [(b"last-event-id", after.encode())] if after is not None else []
    path = f"/v1/projects/{project_id}/events"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": raw,
        "client": ("127.0.0.1", 1),
        "server": ("projects", 80),
    }

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        await stream.is_taking.wait()
        if message["type"] == "http.response.start":
            stream.status = message["status"]
            stream.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            stream.text += message["body"].decode()
            stream.is_over = not message.get("more_body", False)

    serving = asyncio.create_task(app(scope, receive, send))
    try:
        await eventually(lambda: stream.text or stream.is_over, what="an answer")
        yield stream
    finally:
        gone.set()
        stream.is_taking.set()
        async with asyncio.timeout(30):
            await serving


@pytest.fixture
async def another(settings: ProjectsSettings, tokens: TokenMaker, storage: Any) -> AsyncIterator[Callable[..., Any]]:
    """Starts further processes on the same database, with other settings."""
    running: list[LifespanManager] = []

    async def another(**changes: Any) -> Any:
        changed = settings.model_copy(update=changes)
        app = create_app(changed, create_parts(changed, tokens.verifier(), storage))
        running.append(LifespanManager(app))
        await running[-1].__aenter__()
        return app

    yield another
    for manager in running:
        await manager.__aexit__(None, None, None)


async def test_every_step_of_an_item_is_told(
    api: Any, ada: Any, tokens: TokenMaker, results: ResultService, engines: Any
) -> None:
    project = await ada.project()

    async with follow(api.app, tokens.headers(ada.user_id), project["id"]) as stream:
        document = await ada.document(project["id"])
        await results.record_progress(Document, engines.progressed(document, 0))
        await results.record_progress(Document, engines.progressed(document, 3))
        await results.record_completion(Document, await engines.completed(document))
        await ada.http.delete(f"/v1/documents/{document['id']}")
        events = await stream.has(
            *(f"document.{name}" for name in ("queued", "processing", "progress", "completed", "deleted"))
        )

    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert stream.headers["cache-control"] == "no-store"
    assert stream.text.startswith("retry: 3000\nid: 0\n\n")
    assert [event["id"] for event in events] == ["1", "2", "3", "4", "5"]
    shown = [orjson.loads(event["data"]) for event in events]
    assert shown[0] == document
    assert [(item["status"], item["progress"]["done"]) for item in shown[1:4]] == [
        ("processing", 0),
        ("processing", 3),
        ("completed", 4),
    ]


async def test_recordings_and_failures_are_told(
    api: Any, ada: Any, tokens: TokenMaker, results: ResultService, engines: Any
) -> None:
    project = await ada.project()

    async with follow(api.app, tokens.headers(ada.user_id), project["id"]) as stream:
        sample = (await ada.upload(project["id"], WAV, filename="a.wav", kind="voice-samples")).json()
        await results.record_completion(VoiceSample, await engines.transcribed(sample))
        document = await ada.document(project["id"])
        await results.record_failure(Document, engines.failed(document))
        await ada.http.post(f"/v1/documents/{document['id']}/reprocess")
        await ada.http.post(f"/v1/documents/{document['id']}/cancel")
        events = await stream.has(
            *("voice_sample.queued", "voice_sample.completed", "document.queued", "document.failed"),
            *("document.queued", "document.cancelled"),
        )

    assert orjson.loads(events[1]["data"])["duration_ms"] == 2_500
    assert orjson.loads(events[3]["data"])["error"]["code"] == "corrupt_file"
    assert (await ada.http.get(f"/v1/documents/{document['id']}")).json() == orjson.loads(events[5]["data"])


async def test_who_comes_back_misses_nothing_and_gets_nothing_twice(
    api: Any, ada: Any, tokens: TokenMaker, results: ResultService, engines: Any
) -> None:
    project = await ada.project()
    headers = tokens.headers(ada.user_id)
    async with follow(api.app, headers, project["id"]) as first:
        document = await ada.document(project["id"])
        await first.has("document.queued")
    for done in range(1, 4):
        await results.record_progress(Document, engines.progressed(document, done))

    async with follow(api.app, headers, project["id"], after=first.last_id) as second:
        await results.record_completion(Document, await engines.completed(document))
        await second.has("document.processing", "document.progress", "document.progress", "document.completed")
        async with follow(api.app, headers, project["id"]) as third:
            assert (third.events, third.last_id) == ([], second.last_id)


async def test_what_changes_in_one_process_is_told_in_another(
    another: Any, ada: Any, tokens: TokenMaker, results: ResultService, engines: Any
) -> None:
    project = await ada.project()
    other = await another()
    await asyncio.wait_for(other.state.use_cases.items._feed.is_listening.wait(), 30)

    async with follow(other, tokens.headers(ada.user_id), project["id"]) as stream:
        document = await ada.document(project["id"])
        await results.record_progress(Document, engines.progressed(document, 1))
        await stream.has("document.queued", "document.processing")


async def test_news_that_are_lost_are_found_later(another: Any, ada: Any, tokens: TokenMaker) -> None:
    project = await ada.project()
    deaf = await another(wait_look_again_seconds=0.2)
    await deaf.state.use_cases.items._feed.stop()

    async with follow(deaf, tokens.headers(ada.user_id), project["id"]) as stream:
        await ada.document(project["id"])
        await stream.has("document.queued")


@pytest.mark.parametrize("after", ["2", "99", "gibberish", pytest.param("9" * 5000, id="endless")])
async def test_who_was_away_for_too_long_is_told_to_read_again(
    api: Any, ada: Any, tokens: TokenMaker, sessions: Sessions, results: ResultService, engines: Any, after: str
) -> None:
    project = await ada.project()
    document = await ada.document(project["id"])
    for done in range(1, 4):
        await results.record_progress(Document, engines.progressed(document, done))
    async with sessions.begin() as session:
        forget = text("DELETE FROM projects.live_event WHERE project_id = :id AND number <= 3")
        await session.execute(forget, {"id": project["id"]})

    async with follow(api.app, tokens.headers(ada.user_id), project["id"], after=after) as stream:
        await results.record_completion(Document, await engines.completed(document))
        events = await stream.has("reset", "document.completed")

    assert [event["id"] for event in events] == ["4", "5"]


async def test_what_happens_at_once_is_told_in_the_order_of_its_commits(api: Any, ada: Any, tokens: TokenMaker) -> None:
    project = await ada.project()

    async with follow(api.app, tokens.headers(ada.user_id), project["id"]) as stream:
        contents = [b"%PDF-1.7 " + bytes([number]) * 20 for number in range(20)]
        await asyncio.gather(*(ada.document(project["id"], content) for content in contents))
        events = await stream.has(*["document.queued"] * 20)

    assert [int(event["id"]) for event in events] == list(range(1, 21))
    assert len({orjson.loads(event["data"])["id"] for event in events}) == 20


async def test_a_change_that_is_rolled_back_is_not_told(
    api: Any, ada: Any, tokens: TokenMaker, sessions: Sessions
) -> None:
    project = await ada.project()
    document = await ada.document(project["id"])
    change = text("UPDATE projects.media_item SET version = version + 1, status = :status WHERE id = :id")

    async with follow(api.app, tokens.headers(ada.user_id), project["id"]) as stream:
        async with sessions() as session:
            await session.execute(change, {"id": document["id"], "status": "failed"})
            await session.rollback()
        await ada.http.post(f"/v1/documents/{document['id']}/cancel")
        events = await stream.has("document.cancelled")

    assert events[0]["id"] == "2"


async def test_strangers_and_the_nameless_follow_nothing(api: Any, ada: Any, bob: Any) -> None:
    project = await ada.project()

    stranger = await bob.http.get(f"/v1/projects/{project['id']}/events")
    nobody = await api.client().get(f"/v1/projects/{project['id']}/events")

    assert (stranger.status_code, nobody.status_code) == (404, 401)


async def test_a_stream_ends_with_the_place_in_the_project(
    another: Any, ada: Any, bob: Any, join: Any, tokens: TokenMaker
) -> None:
    project = await ada.project()
    await join(ada, project["id"], bob, "viewer")
    app = await another(live_heartbeat_seconds=0.2)

    async with follow(app, tokens.headers(bob.user_id), project["id"]) as stream:
        await eventually(lambda: ": still here" in stream.text)
        await ada.http.delete(f"/v1/projects/{project['id']}/members/{bob.user_id}")
        events = await stream.has("end")
        await eventually(lambda: stream.is_over)

    assert orjson.loads(events[0]["data"]) == {"reason": "not_found"}


async def test_a_stream_ends_with_its_token(another: Any, ada: Any, tokens: TokenMaker) -> None:
    project = await ada.project()
    app = await another(live_heartbeat_seconds=0.2)
    verifier = app.state.token_verifier
    now = verifier._now

    async with follow(app, tokens.headers(ada.user_id), project["id"]) as stream:
        await eventually(lambda: ": still here" in stream.text)
        verifier._now = lambda: now() + 3600
        events = await stream.has("end")

    assert orjson.loads(events[0]["data"]) == {"reason": "token_expired"}


async def test_a_process_that_stops_lets_go(another: Any, ada: Any, tokens: TokenMaker) -> None:
    project = await ada.project()
    app = await another()

    async with follow(app, tokens.headers(ada.user_id), project["id"]) as stream:
        app.state.use_cases.live.release()
        events = await stream.has("end")

    assert orjson.loads(events[0]["data"]) == {"reason": "shutting_down"}


async def test_who_takes_too_little_is_let_go_and_goes_on_later(
    another: Any, ada: Any, tokens: TokenMaker, results: ResultService, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alta_projects.main._WAITING_EVENTS", 5)
    project = await ada.project()
    document = await ada.document(project["id"])
    app = await another()
    live, headers = app.state.use_cases.live, tokens.headers(ada.user_id)
    await asyncio.wait_for(app.state.use_cases.items._feed.is_listening.wait(), 30)

    async with follow(app, headers, project["id"]) as slow, follow(app, headers, project["id"]) as quick:
        await eventually(lambda: all(one.is_caught_up for one in live._followings))
        slow.is_taking.clear()
        for done in range(1, 10):
            await results.record_progress(Document, engines.progressed(document, done, total=20))
            await eventually(lambda number=done: len(quick.names) == number)
        slow.is_taking.set()
        await eventually(lambda: slow.is_over)
    async with follow(app, headers, project["id"], after=slow.last_id) as again:
        await eventually(lambda: len(slow.names) - 1 + len(again.names) == 9)

    assert orjson.loads(slow.events[-1]["data"]) == {"reason": "too_slow"}
    assert not live._followings
    assert not live._channels


async def test_only_so_many_follow_through_one_process(another: Any, ada: Any, tokens: TokenMaker) -> None:
    project = await ada.project()
    app, headers = await another(live_streams=1), tokens.headers(ada.user_id)

    async with follow(app, headers, project["id"]), follow(app, headers, project["id"]) as refused:
        assert (refused.status, orjson.loads(refused.text)["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
    async with follow(app, headers, project["id"]) as again:
        assert again.status == 200
