from alta_common.contracts.event import Event
from alta_common.contracts.transcription import VoiceTranscriptionProgressed
from alta_common.engines.progress import ProgressReporter
from alta_common.errors import UnavailableError
from alta_common.ids import new_id

SAMPLE, PROJECT, REQUEST = new_id(), new_id(), new_id()


def step(done: int, total: int) -> VoiceTranscriptionProgressed:
    return VoiceTranscriptionProgressed(
        voice_sample_id=SAMPLE, project_id=PROJECT, request_event_id=REQUEST, done=done, total=total, unit="second"
    )


class Published:
    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish(self, event: Event) -> None:
        self.events.append(event)

    @property
    def steps(self) -> list[tuple[int, int]]:
        return [(event.done, event.total) for event in self.events if isinstance(event, VoiceTranscriptionProgressed)]


async def test_the_beginning_is_told_at_once() -> None:
    published = Published()
    progress = ProgressReporter(published, step, every_seconds=60)

    progress(0, 0)
    progress(1, 10)
    await progress.close()

    assert published.steps == [(0, 0)]


async def test_steps_only_grow_and_never_pass_the_total() -> None:
    published = Published()
    progress = ProgressReporter(published, step, every_seconds=0)

    for done, total in [(0, 0), (0, 9.6), (4.9, 9.6), (4.2, 9.6), (4.9, 9.6), (12.0, 9.6)]:
        progress(done, total)
        await progress.close()

    assert published.steps == [(0, 0), (0, 10), (4, 10), (12, 12)]


async def test_a_broker_that_is_away_does_not_stop_the_work() -> None:
    class Away:
        async def publish(self, _: Event) -> None:
            raise UnavailableError("no broker")

    progress = ProgressReporter(Away(), step, every_seconds=0)

    progress(1, 10)
    await progress.close()
