import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from alta_common.errors import InvalidError, UnavailableError
from alta_common.workers.errors import (
    WorkerCrashedError,
    WorkerFailedError,
    WorkerMemoryError,
    WorkerStartError,
    WorkerTimeoutError,
)
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_common.workers.wire import Task

JOBS = """
import os, signal, sys, time
from alta_common.errors import InvalidError

warmed = []

def warm(report, word):
    warmed.append(word)

def broken_warm(report):
    raise FileNotFoundError("model.bin")

def add(report, a, b):
    return a + b

def pid(report):
    return os.getpid()

def state(report):
    return warmed

def steps(report, count, pause=0.0):
    for step in range(count):
        report(step)
        time.sleep(pause)
    report.count(count)
    return count

def sleep(report, seconds):
    report("started")
    time.sleep(seconds)

def refuse(report):
    raise InvalidError("The file is damaged.")

class Odd(Exception):
    def __init__(self, a, b):
        super().__init__("odd")

def odd(report):
    raise Odd(1, 2)

def die(report):
    sys.stderr.write("pure virtual method called")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)

def eat(report):
    return len(bytearray(4 << 30))

def burst(report):
    # As libstdc++ does when native code does not catch a failed allocation.
    sys.stderr.write("terminate called after throwing an instance of 'std::bad_alloc'")
    sys.stderr.flush()
    os.abort()

def hang(report):
    time.sleep(600)

def large(report, size):
    return bytes(size)

def chatter(report):
    print("never on the service's own stdout")
    return True
"""

LIMITS = WorkerLimits(job_seconds=120, step_seconds=120)


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pool_test_jobs.py").write_text(JOBS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.fixture
async def create_pool(jobs: None) -> AsyncIterator[Callable[..., WorkerPool]]:
    pools: list[WorkerPool] = []

    def create(size: int = 1, limits: WorkerLimits = LIMITS, **options: object) -> WorkerPool:
        pools.append(WorkerPool("test", size, limits, **options))  # type: ignore[arg-type]
        return pools[-1]

    yield create
    for pool in pools:
        await pool.close()


def job(name: str, **kwargs: object) -> Task:
    return Task(f"pool_test_jobs:{name}", kwargs)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


async def test_a_job_gives_its_result(create_pool) -> None:
    pool = create_pool()
    await pool.start()

    assert await pool.run(job("add", a=1, b=2)) == 3


async def test_a_worker_is_warm_before_its_first_job(create_pool) -> None:
    pool = create_pool(warm_up=job("warm", word="hot"))
    await pool.start()

    assert await pool.run(job("state")) == ["hot"]


async def test_a_worker_that_cannot_warm_up_says_why_and_leaves_nothing_behind(create_pool) -> None:
    pool = create_pool(size=2, warm_up=job("broken_warm"))

    with pytest.raises(WorkerStartError, match=r"model\.bin"):
        await pool.start()

    assert pool.pids == []
    with pytest.raises(UnavailableError):
        await pool.check()


async def test_progress_is_heard_in_order_while_the_job_runs(create_pool) -> None:
    pool = create_pool()
    await pool.start()
    heard: list[int] = []

    assert await pool.run(job("steps", count=5), on_progress=heard.append) == 5

    assert heard == [0, 1, 2, 3, 4]


async def test_a_job_whose_progress_cannot_be_taken_does_not_answer_for_the_next_one(create_pool) -> None:
    pool = create_pool()
    await pool.start()

    def refuse(step: object) -> None:
        raise InvalidError(f"nobody wants to hear of {step}")

    with pytest.raises(InvalidError, match="nobody wants to hear of 0"):
        await pool.run(job("steps", count=5), on_progress=refuse)

    heard: list[object] = []
    assert await pool.run(job("add", a=1, b=2), on_progress=heard.append) == 3
    assert heard == []


async def test_a_jobs_exception_arrives_as_it_was_and_its_worker_lives_on(create_pool) -> None:
    pool = create_pool()
    await pool.start()
    before = await pool.run(job("pid"))

    with pytest.raises(InvalidError, match="The file is damaged"):
        await pool.run(job("refuse"))
    with pytest.raises(WorkerFailedError, match="Odd"):
        await pool.run(job("odd"))

    assert await pool.run(job("pid")) == before


@pytest.mark.parametrize(
    ("task", "error", "why", "reason"),
    [
        ("die", WorkerCrashedError, r"signal 11.*pure virtual method called", "crashed"),
        ("eat", WorkerMemoryError, "more memory", "out_of_memory"),
        ("burst", WorkerMemoryError, "more memory", "out_of_memory"),
        ("hang", WorkerTimeoutError, "time limit", "timeout"),
    ],
)
async def test_what_a_job_does_to_its_worker_costs_its_own_job_only(
    create_pool, task: str, error: type[Exception], why: str, reason: str
) -> None:
    reasons: list[str] = []
    limits = WorkerLimits(job_seconds=120, step_seconds=120, memory_bytes=1 << 30)
    pool = create_pool(size=2, limits=limits, on_restart=reasons.append)
    await pool.start()
    begun = asyncio.Event()
    beside = asyncio.ensure_future(pool.run(job("steps", count=40, pause=0.05), on_progress=lambda _: begun.set()))
    await begun.wait()
    pids = pool.pids

    with pytest.raises(error, match=why):
        await pool.run(job(task), seconds=1 if task == "hang" else None)

    assert await beside == 40
    assert await asyncio.gather(*(pool.run(job("add", a=n, b=n)) for n in range(4))) == [0, 2, 4, 6]
    assert reasons == [reason]
    assert len(set(pids) & set(pool.pids)) == 1


async def test_a_worker_killed_from_outside_is_replaced(create_pool) -> None:
    pool = create_pool()
    await pool.start()
    started = asyncio.Event()
    running = asyncio.ensure_future(pool.run(job("sleep", seconds=600), on_progress=lambda _: started.set()))
    await started.wait()

    os.kill(pool.pids[0], signal.SIGKILL)

    with pytest.raises(WorkerCrashedError, match="signal 9"):
        await running
    assert await pool.run(job("add", a=1, b=1)) == 2
    await pool.check()


async def test_a_worker_killed_while_idle_is_replaced_before_the_next_job(create_pool) -> None:
    pool = create_pool()
    await pool.start()
    pid = pool.pids[0]

    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(lambda: [None for _ in iter(lambda: gone(pid), True)])

    assert await pool.run(job("pid")) != pid


@pytest.mark.parametrize("error", [OSError("no more processes"), RuntimeError("can't start new thread")])
async def test_a_worker_that_cannot_be_started_again_at_once_is_started_later_and_costs_no_file(
    create_pool, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    pool = create_pool()
    await pool.start()
    await pool.run(job("pid"))
    start, refused = asyncio.create_subprocess_exec, 0

    async def refuse_once(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
        nonlocal refused
        if not refused:
            refused += 1
            raise error
        return await start(*arguments, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse_once)
    files = open_files()

    os.kill(pool.pids[0], signal.SIGKILL)
    with suppress(WorkerCrashedError):
        await pool.run(job("pid"))

    assert await pool.run(job("add", a=1, b=2)) == 3
    assert refused == 1
    assert open_files() <= files


async def test_a_job_without_progress_is_killed_and_one_with_progress_is_not(create_pool) -> None:
    pool = create_pool(limits=WorkerLimits(job_seconds=120, step_seconds=3))
    await pool.start()
    # Its process may still be starting, which takes longer than a step on a busy machine.
    await pool.run(job("pid"), step_seconds=120)

    assert await pool.run(job("steps", count=7, pause=0.5)) == 7
    with pytest.raises(WorkerTimeoutError, match="without progress"):
        await pool.run(job("sleep", seconds=600))


async def test_a_cancelled_job_stops_its_worker_at_once(create_pool) -> None:
    reasons: list[str] = []
    pool = create_pool(on_restart=reasons.append)
    await pool.start()
    (pid,) = pool.pids
    started = asyncio.Event()
    running = asyncio.ensure_future(pool.run(job("sleep", seconds=600), on_progress=lambda _: started.set()))
    await started.wait()

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert await pool.run(job("pid")) != pid
    assert gone(pid)
    assert reasons == ["cancelled"]


async def test_a_worker_is_replaced_after_its_share_of_work(create_pool) -> None:
    pool = create_pool(limits=WorkerLimits(job_seconds=120, step_seconds=120, recycle_after_units=5))
    await pool.start()
    first = await pool.run(job("pid"))

    await pool.run(job("steps", count=3))
    assert await pool.run(job("pid")) == first

    assert await pool.run(job("pid")) != first


async def test_large_results_and_prints_pass(create_pool) -> None:
    pool = create_pool()
    await pool.start()

    assert len(await pool.run(job("large", size=20 << 20))) == 20 << 20
    assert await pool.run(job("chatter")) is True


async def test_close_lets_running_work_finish_and_refuses_new_work(create_pool) -> None:
    pool = create_pool()
    await pool.start()
    (pid,) = pool.pids
    running = asyncio.ensure_future(pool.run(job("steps", count=5, pause=0.05)))
    await asyncio.sleep(0)

    await pool.close(drain_seconds=120)

    assert await running == 5
    assert gone(pid)
    with pytest.raises(UnavailableError):
        await pool.run(job("add", a=1, b=1))


async def test_close_ends_work_that_takes_longer_than_the_drain(create_pool) -> None:
    pool = create_pool()
    await pool.start()
    (pid,) = pool.pids
    started = asyncio.Event()
    running = asyncio.ensure_future(pool.run(job("sleep", seconds=600), on_progress=lambda _: started.set()))
    await started.wait()

    await pool.close(drain_seconds=0.2)

    with pytest.raises(asyncio.CancelledError):
        await running
    assert gone(pid)
