import asyncio
import hashlib
from pathlib import Path

import orjson
import pytest

from alta_common.contracts.event import Event
from alta_common.contracts.results import EngineInfo, Segment, SpokenWord, TranscriptResult
from alta_common.contracts.transcription import (
    VoiceTranscriptionCompleted,
    VoiceTranscriptionFailed,
    VoiceTranscriptionProgressed,
)
from alta_common.engines.port import EngineError, InputError, SourceFile
from alta_common.engines.rules import WorkRules
from alta_common.errors import UnavailableError
from alta_common.testing.storage import MemoryObjectStorage
from alta_transcription.application.transcription import TranscriptionService
from alta_transcription.engines.engine import Progress, SpeechOptions, Transcription


class ScriptedEngine:
    """Hears in every recording what it holds as text; says no where told to."""

    def __init__(self) -> None:
        self.heard: list[tuple[Path, SpeechOptions]] = []
        self.error: Exception | None = None

    async def transcribe(self, source: SourceFile, options: SpeechOptions, progress: Progress) -> Transcription:
        self.heard.append((source.path, options))
        progress(1, 2)
        if self.error:
            raise self.error
        text = await asyncio.to_thread(source.path.read_text)
        words = [
            SpokenWord(start_ms=100 * n, end_ms=100 * n + 90, text=word, confidence=0.5 + n / 10)
            for n, word in enumerate(text.split())
        ]
        segment = Segment(start_ms=0, end_ms=500, text=text, confidence=0.8, words=words)
        info = EngineInfo(name="scripted", version="1", config_hash="abc")
        return Transcription(info, "en", 2000, [segment], ["partly_damaged"])

    async def abandon(self, options: SpeechOptions) -> None:
        pass

    async def check(self) -> None:
        pass


class Published:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error: Exception | None = None

    async def publish(self, event: Event) -> None:
        if self.error:
            raise self.error
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


class World:
    def __init__(self) -> None:
        self.storage = MemoryObjectStorage()
        self.engine = ScriptedEngine()
        self.published = Published()
        self.service = TranscriptionService(
            self.storage,
            {"scripted": self.engine},
            self.published,
            WorkRules("scripted", job_seconds=60, progress_every_seconds=0),
        )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def request_(a_request, world: World):
    """A request whose recording is in storage."""
    request = a_request(language="en-GB", attempt=2)
    world.storage.objects[request.object_key] = b"hello there"
    return request


async def test_a_recording_becomes_a_stored_result_and_an_event(world: World, request_) -> None:
    await world.service.transcribe(request_)

    (event,) = world.published.of(VoiceTranscriptionCompleted)
    assert isinstance(event, VoiceTranscriptionCompleted)
    content = world.storage.objects[f"results/{request_.voice_sample_id}/{request_.event_id}.json"]
    result = TranscriptResult.model_validate_json(content)
    assert (result.text, result.language, result.duration_ms) == ("hello there", "en", 2000)
    assert (event.result_sha256, event.result_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (event.attempt, event.request_event_id, event.project_id) == (2, request_.event_id, request_.project_id)
    assert (event.engine_name, event.engine_config_hash, event.warnings) == ("scripted", "abc", ["partly_damaged"])
    assert event.confidence == pytest.approx(0.55)
    assert set(orjson.loads(content)) == {
        *("voice_sample_id", "revision", "engine", "language", "duration_ms", "text", "segments", "warnings")
    }


async def test_work_is_announced_before_it_is_done(world: World, request_) -> None:
    await world.service.transcribe(request_)

    assert type(world.published.events[0]) is VoiceTranscriptionProgressed
    assert type(world.published.events[-1]) is VoiceTranscriptionCompleted


async def test_the_same_step_of_a_second_delivery_is_the_same_event(world: World, request_) -> None:
    world.engine.error = UnavailableError("no worker is ready")
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await world.service.transcribe(request_)

    steps = [event for event in world.published.events if isinstance(event, VoiceTranscriptionProgressed)]
    assert {(step.done, step.total, step.unit) for step in steps} == {(0, 0, "second"), (1, 2, "second")}
    assert {(step.request_event_id, step.attempt) for step in steps} == {(request_.event_id, 2)}
    assert [step.event_id for step in steps[:2]] == [step.event_id for step in steps[2:]]
    assert len({step.event_id for step in steps}) == 2


async def test_the_language_reaches_the_engine_and_its_file_is_gone_afterwards(world: World, request_) -> None:
    await world.service.transcribe(request_)

    ((path, options),) = world.engine.heard
    assert options.language == "en-GB"
    assert not path.exists()


@pytest.mark.parametrize(("asked", "heard"), [(None, "mixed"), ("mixed", "mixed"), ("separate", "separate")])
async def test_how_channels_are_heard_reaches_the_engine(
    asked: str | None, heard: str, world: World, a_request
) -> None:
    request = a_request(channels=asked)
    world.storage.objects[request.object_key] = b"hello there"

    await world.service.transcribe(request)

    ((_, options),) = world.engine.heard
    assert options.channels == heard


async def test_a_request_that_comes_twice_is_answered_twice_alike_and_worked_on_once(world: World, request_) -> None:
    await world.service.transcribe(request_)
    await world.service.transcribe(request_)

    first, second = world.published.of(VoiceTranscriptionCompleted)
    changing = {"occurred_at", "engine_seconds"}
    assert first.model_dump(exclude=changing) == second.model_dump(exclude=changing)
    assert len(world.engine.heard) == 1


async def test_half_a_result_is_no_result(world: World, request_) -> None:
    await world.service.transcribe(request_)
    key = f"results/{request_.voice_sample_id}/{request_.event_id}.json"
    whole = world.storage.objects[key]
    world.storage.objects[key] = whole[: len(whole) // 2]

    await world.service.transcribe(request_)

    assert world.storage.objects[key] == whole
    assert len(world.engine.heard) == 2


async def test_a_file_at_fault_ends_as_failed_with_a_code_and_a_sentence(world: World, request_) -> None:
    world.engine.error = InputError("corrupt_file", "The recording is damaged.")

    await world.service.transcribe(request_)
    await world.service.transcribe(request_)

    first, second = world.published.of(VoiceTranscriptionFailed)
    assert isinstance(first, VoiceTranscriptionFailed)
    assert (first.code, first.detail, first.retryable) == ("corrupt_file", "The recording is damaged.", False)
    assert first.event_id == second.event_id
    assert not world.published.of(VoiceTranscriptionCompleted)


async def test_an_engine_that_may_do_better_next_time_says_so(world: World, request_) -> None:
    world.engine.error = EngineError("engine_crashed", "It broke down twice.", retryable=True)

    await world.service.transcribe(request_)

    (event,) = world.published.of(VoiceTranscriptionFailed)
    assert isinstance(event, VoiceTranscriptionFailed)
    assert event.retryable


async def test_an_engine_that_is_not_here_is_named(world: World, request_) -> None:
    request = request_.model_copy(update={"engine": "google"})

    await world.service.transcribe(request)

    (event,) = world.published.of(VoiceTranscriptionFailed)
    assert isinstance(event, VoiceTranscriptionFailed)
    assert event.code == "engine_unavailable"
    assert "'google-speech'" in event.detail
    assert world.engine.heard == []


async def test_a_recording_that_is_gone_ends_as_failed(world: World, a_request) -> None:
    await world.service.transcribe(a_request())

    (event,) = world.published.of(VoiceTranscriptionFailed)
    assert isinstance(event, VoiceTranscriptionFailed)
    assert event.code == "file_missing"


async def test_an_answer_that_nobody_took_is_an_error_so_that_the_request_comes_again(world: World, request_) -> None:
    world.published.error = UnavailableError("no broker")

    with pytest.raises(UnavailableError):
        await world.service.transcribe(request_)

    world.published.error = None
    await world.service.transcribe(request_)
    assert len(world.published.of(VoiceTranscriptionCompleted)) == 1
    assert len(world.engine.heard) == 1


async def test_an_engine_that_is_away_makes_the_request_come_again(world: World, request_) -> None:
    world.engine.error = UnavailableError("no worker is ready")

    with pytest.raises(UnavailableError):
        await world.service.transcribe(request_)

    assert [type(event) for event in world.published.events] == [VoiceTranscriptionProgressed] * 2


async def test_giving_up_tells_the_owner(world: World, request_) -> None:
    await world.service.give_up(request_, UnavailableError("storage is away"))

    (event,) = world.published.of(VoiceTranscriptionFailed)
    assert isinstance(event, VoiceTranscriptionFailed)
    assert (event.code, event.retryable) == ("engine_unavailable", True)
    assert "storage" not in event.detail
