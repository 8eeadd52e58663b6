"""A cancellation stops what it means, and is not taken for any other stop."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from alta_common.engines.running import RunningWork, WorkCancelledError
from alta_common.ids import new_id


class Work:
    """A piece of work that goes on until it is stopped."""

    def __init__(self, running: RunningWork, item_id: UUID, attempt: int = 1) -> None:
        self.started = asyncio.Event()
        self.stopped = False
        self.task = asyncio.create_task(self._work(running, item_id, attempt))

    async def _work(self, running: RunningWork, item_id: UUID, attempt: int) -> None:
        async with running.on(item_id, attempt), asyncio.timeout(3600):
            self.started.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped = True


@pytest.fixture
def running() -> RunningWork:
    return RunningWork()


async def test_cancelled_work_is_stopped_and_says_so(running: RunningWork) -> None:
    item = new_id()
    work = Work(running, item)
    await work.started.wait()

    assert running.cancel(item, 1) == 1

    with pytest.raises(WorkCancelledError):
        await work.task
    assert work.stopped


async def test_older_attempts_are_cancelled_too_and_newer_ones_and_other_items_are_not(running: RunningWork) -> None:
    item = new_id()
    first, second, third = (Work(running, item, attempt) for attempt in (1, 2, 3))
    other = Work(running, new_id())
    for work in (first, second, third, other):
        await work.started.wait()

    assert running.cancel(item, 2) == 2

    for work in (first, second):
        with pytest.raises(WorkCancelledError):
            await work.task
    assert not third.stopped
    assert not other.stopped
    third.task.cancel()
    other.task.cancel()


async def test_a_cancellation_may_come_before_its_work(running: RunningWork) -> None:
    item = new_id()

    assert running.cancel(item, 2) == 0
    running.cancel(item, 1)

    for attempt in (1, 2):
        with pytest.raises(WorkCancelledError):
            async with running.on(item, attempt):
                pytest.fail("it must not begin")
    async with running.on(item, 3):
        pass


async def test_a_cancellation_that_comes_twice_or_late_does_no_harm(running: RunningWork) -> None:
    item = new_id()
    work = Work(running, item)
    await work.started.wait()

    assert running.cancel(item, 1) == 1
    assert running.cancel(item, 1) == 0
    with pytest.raises(WorkCancelledError):
        await work.task

    assert running.cancel(item, 1) == 0


async def test_a_stop_of_the_process_is_no_cancellation_of_the_work(running: RunningWork) -> None:
    work = Work(running, new_id())
    await work.started.wait()

    work.task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await work.task
    assert work.stopped


async def _pass_by() -> None: ...


async def _stumble() -> None:
    raise RuntimeError("stumbled")


@pytest.mark.parametrize("act", [_pass_by, _stumble])
async def test_work_that_ends_as_it_is_cancelled_is_cancelled(
    running: RunningWork, act: Callable[[], Awaitable[None]]
) -> None:
    item = new_id()

    async def work() -> None:
        async with running.on(item, 1):
            running.cancel(item, 1)
            await act()

    with pytest.raises(WorkCancelledError):
        await work()


async def test_what_goes_wrong_by_itself_stays_as_it_is(running: RunningWork) -> None:
    for error in (RuntimeError("broken"), TimeoutError("too late")):
        with pytest.raises(type(error)):
            async with running.on(new_id(), 1):
                raise error


async def test_two_deliveries_of_one_request_are_both_cancelled(running: RunningWork) -> None:
    item = new_id()
    both = Work(running, item), Work(running, item)
    for work in both:
        await work.started.wait()

    assert running.cancel(item, 1) == 2

    for work in both:
        with pytest.raises(WorkCancelledError):
            await work.task


async def test_the_memory_of_cancellations_is_bounded(running: RunningWork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alta_common.engines.running._REMEMBERED", 2)
    first, second, third = new_id(), new_id(), new_id()

    for item in (first, second, first, third):
        running.cancel(item, 1)

    async with running.on(second, 1):
        pass
    for item in (first, third):
        with pytest.raises(WorkCancelledError):
            async with running.on(item, 1):
                pytest.fail("it must not begin")
