from datetime import timedelta

import pytest

from alta_common.contracts.event import Event
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.messaging.consumers import Consumer, Handler, Ordered


async def read(event: Event) -> None:
    """Take any event."""


async def tell(event: Event, error: Exception) -> None:
    """Tell the owner."""


def test_order_is_refused_to_a_handler_that_could_hold_its_partition_for_longer_than_the_broker_allows() -> None:
    handlers = [Handler(DocumentOcrRequested, read)]
    Consumer("ocr_queue", handlers, time_limit=Ordered.TIME_LIMIT, ordered=Ordered(4))

    with pytest.raises(ValueError, match="could take"):
        Consumer("ocr_queue", handlers, time_limit=timedelta(minutes=5), ordered=Ordered(4))


def test_order_is_refused_to_a_handler_that_gives_up_with_a_word_to_the_owner() -> None:
    handlers = [Handler(DocumentOcrRequested, read, tell)]
    Consumer("ocr_queue", handlers)

    with pytest.raises(ValueError, match="word to the owner"):
        Consumer("ocr_queue", handlers, time_limit=Ordered.TIME_LIMIT, ordered=Ordered(4))
