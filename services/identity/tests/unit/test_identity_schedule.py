import asyncio
from datetime import timedelta

from alta_common.testing import eventually
from alta_identity.application.schedule import scheduled

SOON = timedelta(milliseconds=1)


async def test_jobs_are_repeated_until_the_block_ends_and_survive_their_failures():
    calls = {"good": 0, "bad": 0}

    async def good():
        calls["good"] += 1

    async def bad():
        calls["bad"] += 1
        raise RuntimeError("this time not")

    async with scheduled({good: SOON, bad: SOON}):
        await eventually(lambda: calls["good"] >= 3 and calls["bad"] >= 3)
    after = dict(calls)
    await asyncio.sleep(0.02)

    assert calls == after
