import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta


@asynccontextmanager
async def no_sooner_than(floor: timedelta) -> AsyncIterator[None]:
    """Make the block take at least `floor`, however it ends.

    An account that exists takes a few statements more or less than one that does not. Behind a floor that is
    above both, the time of an answer does not tell which it was.
    """
    loop = asyncio.get_running_loop()
    earliest = loop.time() + floor.total_seconds()
    try:
        yield
    finally:
        await asyncio.sleep(max(0.0, earliest - loop.time()))
