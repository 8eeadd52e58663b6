"""A consumer in a process of its own: notes when each message of a queue arrives.

    python benchmarks/relay_listener.py AMQP_URL QUEUE

It says `listening`, reads from stdin how many different messages are to come, and prints a JSON object when they have
come: message id → the moment in nanoseconds of the monotonic clock, which all processes of a machine share.
"""

import asyncio
import json
import sys
import time

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from alta_common.process import run

PREFETCH = 200


async def listen(amqp_url: str, queue_name: str) -> None:
    """Note arrivals until all have come, and print them."""
    arrivals: dict[str, int] = {}
    more = asyncio.Event()

    async def note(message: AbstractIncomingMessage) -> None:
        arrivals[str(message.message_id)] = time.monotonic_ns()
        more.set()
        await message.ack()

    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.get_queue(queue_name)
        await queue.consume(note)
        print("listening", flush=True)
        expected = int(await asyncio.to_thread(sys.stdin.readline))
        while len(arrivals) < expected:
            more.clear()
            await more.wait()
    print(json.dumps(arrivals), flush=True)


if __name__ == "__main__":
    run(listen(*sys.argv[1:]))
