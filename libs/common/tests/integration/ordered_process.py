"""A process with an ordered consumer, for a test that kills it: prints each event before it handles the next."""

import asyncio
import sys

from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.messaging.consumers import Consumer, ConsumerApp, Handler, Ordered
from alta_common.process import until_stopped


async def read(event: DocumentOcrRequested) -> None:
    print(f"handling {event.document_id} {event.attempt}", flush=True)  # noqa: T201 - the test reads it
    await asyncio.sleep(0.01)


async def main(rabbitmq_url: str, partitions: int) -> None:
    consumer = Consumer(
        "ocr_queue", [Handler(DocumentOcrRequested, read)], time_limit=Ordered.TIME_LIMIT, ordered=Ordered(partitions)
    )
    app = ConsumerApp(rabbitmq_url, "ordered", [consumer], 5)
    await app.start()
    print("ready", flush=True)  # noqa: T201 - the test reads it
    await until_stopped()
    await app.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
