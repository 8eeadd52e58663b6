from alta_common.contracts.event import Event
from alta_common.contracts.transcription import VoiceTranscriptionProgressed
from alta_common.errors import UnavailableError
from alta_transcription.application.progress import ProgressReporter


class Published:
    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish(self, event: Event) -> None:
        self.events.append(event)

    @property
    def steps(self) -> list[tuple[int, int]]:
        return [(event.done, event.total) for event in self.events if isinstance(event, VoiceTranscriptionProgressed)]


async def test_the_beginning_is_told_at_once(a_request) -> None:
    published, request = Published(), a_request(attempt=3)
    progress = ProgressReporter(published, request, every_seconds=60)

    progress(0, 0)
    progress(1, 10)
    await progress.close()

    assert published.steps == [(0, 0)]
    (event,) = published.events
    assert isinstance(event, VoiceTranscriptionProgressed)
    assert (event.unit, event.attempt, event.request_event_id) == ("second", 3, request.event_id)


async def test_steps_only_grow_and_never_pass_the_total(a_request) -> None:
    published = Published()
    progress = ProgressReporter(published, a_request(), every_seconds=0)

    for step in [(0, 0), (0, 9.6), (4.9, 9.6), (4.2, 9.6), (4.9, 9.6), (12.0, 9.6)]:
        progress(*step)
        await progress.close()

    assert published.steps == [(0, 0), (0, 10), (4, 10), (12, 12)]
    assert len({event.event_id for event in published.events}) == 4


async def test_the_same_step_of_a_second_delivery_is_the_same_event(a_request) -> None:
    published, request = Published(), a_request()
    for _ in range(2):
        progress = ProgressReporter(published, request, every_seconds=0)
        progress(7, 10)
        await progress.close()

    first, second = published.events
    assert first.event_id == second.event_id


async def test_a_broker_that_is_away_does_not_stop_the_work(a_request) -> None:
    class Away:
        async def publish(self, _: Event) -> None:
            raise UnavailableError("no broker")

    progress = ProgressReporter(Away(), a_request(), every_seconds=0)

    progress(1, 10)
    await progress.close()
