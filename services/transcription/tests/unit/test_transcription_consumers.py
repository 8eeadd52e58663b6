from datetime import timedelta

from alta_common.engines.rules import WorkRules
from alta_common.messaging.publisher import EventPublisher
from alta_common.messaging.topology import BROADCASTS, QUEUES
from alta_common.testing.consumers import assert_hears_what_is_documented
from alta_common.testing.storage import MemoryObjectStorage
from alta_transcription.application.transcription import TranscriptionService
from alta_transcription.consumers import broadcasts, consumers

BROKERS_PATIENCE = timedelta(minutes=30)
LONGEST_SLICE = timedelta(minutes=25)


def a_service() -> TranscriptionService:
    publisher = EventPublisher("amqp://localhost/", "transcription")
    return TranscriptionService(MemoryObjectStorage(), {}, publisher, WorkRules("local", job_seconds=60))


def test_everything_that_transcription_hears_is_handled() -> None:
    [consumer] = consumers(a_service(), at_once=3, time_slice=LONGEST_SLICE)

    assert {handler.event_type.ROUTING_KEY for handler in consumer.handlers} == set(QUEUES[consumer.queue])
    assert {handler.event_type.ROUTING_KEY for handler in broadcasts(a_service())} == set(BROADCASTS["transcription"])


def test_no_message_is_held_for_longer_than_the_broker_allows() -> None:
    [consumer] = consumers(a_service(), at_once=3, time_slice=LONGEST_SLICE)

    assert LONGEST_SLICE < consumer.time_limit < BROKERS_PATIENCE
    assert consumer.prefetch == 3


def test_what_is_heard_is_what_is_documented() -> None:
    table = consumers(a_service(), at_once=1, time_slice=LONGEST_SLICE)

    assert_hears_what_is_documented("transcription", table, broadcasts(a_service()))
