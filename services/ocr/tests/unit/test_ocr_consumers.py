from datetime import timedelta

from alta_common.engines.rules import WorkRules
from alta_common.messaging.publisher import EventPublisher
from alta_common.testing.consumers import assert_hears_what_is_documented
from alta_common.testing.storage import MemoryObjectStorage
from alta_ocr.application.extraction import ExtractionService
from alta_ocr.consumers import broadcasts, consumers


def test_what_is_heard_is_what_is_documented() -> None:
    publisher = EventPublisher("amqp://localhost/", "ocr")
    extraction = ExtractionService(MemoryObjectStorage(), {}, publisher, WorkRules("local", job_seconds=60))

    table = consumers(extraction, at_once=1, time_slice=timedelta(minutes=1))

    assert_hears_what_is_documented("ocr", table, broadcasts(extraction))
