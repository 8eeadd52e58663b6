"""An empty Redis database for each test."""

import itertools
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis

# 0 is where a running system keeps its own.
_numbers = itertools.cycle(range(1, 16))


async def empty_database(server_url: str) -> str:
    """Flush the next database of the server and return its URL."""
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{next(_numbers)}"))
    client = Redis.from_url(url)
    try:
        await client.flushdb()
    finally:
        await client.aclose()
    return url
