import asyncio
import threading
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from alta_common.errors import UnavailableError
from alta_common.http.health import InternalServer
from alta_common.testing import eventually

LIVE_SECONDS = 2.0
"""Long enough for a loop that is slow because the machine is busy."""


class Dependency:
    def __init__(self) -> None:
        self.is_there = True
        self.hangs = False

    async def check(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if not self.is_there:
            raise UnavailableError("it is away")


@pytest.fixture
def database() -> Dependency:
    return Dependency()


@pytest.fixture
async def internal(database: Dependency) -> AsyncIterator[InternalServer]:
    server = InternalServer("127.0.0.1", 0, {"database": database.check}, live_seconds=LIVE_SECONDS)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(internal: InternalServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{internal.port}", timeout=60) as client:
        yield client


async def test_a_ready_process_says_what_it_looked_at(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/ready")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok"}}


async def test_readiness_says_what_is_missing(client: httpx.AsyncClient, database: Dependency) -> None:
    database.is_there = False

    answer = await client.get("/health/ready")

    assert answer.status_code == 503
    assert answer.json() == {"status": "unready", "checks": {"database": "UnavailableError: it is away"}}


async def test_a_check_that_hangs_is_given_two_seconds(client: httpx.AsyncClient, database: Dependency) -> None:
    database.hangs = True

    answer = await client.get("/health/ready")

    assert answer.json()["checks"]["database"] == "no answer within 2 s"


async def test_a_process_that_stops_is_not_ready(client: httpx.AsyncClient, internal: InternalServer) -> None:
    internal.mark_draining()

    assert (await client.get("/health/ready")).status_code == 503
    assert (await client.get("/health/live")).status_code == 200


async def test_liveness_tells_when_the_loop_does_not_turn(internal: InternalServer) -> None:
    url = f"http://127.0.0.1:{internal.port}/health/live"
    told = threading.Event()
    asking = threading.Thread(target=_ask_until_stalled, args=(url, told), daemon=True)
    asking.start()

    # Not awaited: blocking the loop is what is tested.
    assert told.wait(60)

    await eventually(lambda: asyncio.to_thread(lambda: httpx.get(url, timeout=60).status_code == 200))


def _ask_until_stalled(url: str, told: threading.Event) -> None:
    with httpx.Client(timeout=60) as client:
        while client.get(url).status_code != 503:
            time.sleep(0.01)
    told.set()


async def test_metrics_are_served_in_both_formats(client: httpx.AsyncClient) -> None:
    plain = await client.get("/metrics")
    openmetrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})

    assert "alta_event_loop_lag_seconds" in plain.text
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


async def test_other_paths_are_problems(client: httpx.AsyncClient) -> None:
    answer = await client.get("/admin")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_taken_port_is_named(internal: InternalServer) -> None:
    with pytest.raises(SystemExit, match=f"127.0.0.1:{internal.port} .INTERNAL_PORT."):
        await InternalServer("127.0.0.1", internal.port).start()
