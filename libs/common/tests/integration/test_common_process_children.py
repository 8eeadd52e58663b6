"""A process that calls Google and starts worker processes: its log stays what a log reader can read."""

import asyncio
import sys

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROGRAM = """
import asyncio
from alta_common.process import run
import grpc

async def main():
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        channel.get_state(try_to_connect=True)
        for _ in range(20):
            child = await asyncio.create_subprocess_exec("true")
            await child.wait()
    print("done")

run(main())
"""


async def test_starting_a_child_beside_grpc_writes_nothing_to_stderr() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin"},
    )
    said, complained = await process.communicate()

    assert (said, complained) == (b"done\n", b"")
