"""The rules that every request to an engine service lives by."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import orjson
import pytest

from alta_common.clock import utc_now
from alta_common.contracts.projects import DocumentOcrRequested
from alta_common.contracts.results import cancellation_key
from alta_common.engines.operations import OperationStore, RemoteOperation
from alta_common.engines.port import InputError
from alta_common.errors import UnavailableError
from alta_common.messaging.failures import UnfinishedError
from alta_common.testing import eventually
from alta_common.testing.engines import PAGES, EngineWorld, Letter, Letters, Options, fail, for_ever, nothing


@pytest.fixture
def world() -> EngineWorld:
    return EngineWorld()


def finished(outcome: str) -> float:
    return Letters.jobs.labels(outcome)._value.get()


async def test_a_request_leaves_its_result_andnothing_else(world: EngineWorld) -> None:
    await world.work().perform(await world.upload())

    [completed] = world.completed
    assert orjson.loads(world.storage.objects[completed.result_key])["pages"] == ["page 1", "page 2", "page 3"]
    assert world.kept() == []
    assert world.local.abandoned == 0


# Cancellation


async def test_cancelled_work_stops_at_once_andnothing_is_told_or_left(world: EngineWorld) -> None:
    request = await world.upload(attempt=2)
    work = world.work()
    world.local.acts[3] = for_ever
    before = finished("cancelled")
    performing = asyncio.create_task(work.perform(request))
    await eventually(lambda: world.local.read == [1, 2])

    work.cancel(request.document_id, 2, "cancelled")
    await performing

    assert world.local.stopped
    assert world.answers == []
    assert world.kept() == []
    assert world.local.abandoned == 1
    assert finished("cancelled") == before + 1


async def test_a_newer_attempt_goes_on_when_an_older_one_is_cancelled(world: EngineWorld) -> None:
    request = await world.upload(attempt=2)
    work = world.work()

    async def cancel_the_first() -> None:
        work.cancel(request.document_id, 1, "superseded")

    world.local.acts[2] = cancel_the_first
    await work.perform(request)

    assert len(world.completed) == 1


async def test_a_request_whose_cancellation_was_heard_before_it_is_not_begun(world: EngineWorld) -> None:
    request = await world.upload()
    work = world.work()

    work.cancel(request.document_id, 1, "deleted")
    await work.perform(request)

    assert world.local.read == []
    assert world.answers == []


async def test_a_request_whose_cancellation_nobody_heard_finds_the_marker_before_it_begins(world: EngineWorld) -> None:
    request = await world.upload()
    await world.storage.put_bytes(cancellation_key(request.document_id, 1), b"", "text/plain")

    await world.work().perform(request)

    assert world.local.read == []
    assert world.answers == []


@pytest.mark.parametrize("act", [nothing, fail(InputError("corrupt_file", "It is damaged."))])
async def test_what_was_cancelled_meanwhile_is_neither_stored_nor_told(
    world: EngineWorld, act: Callable[[], Awaitable[object]]
) -> None:
    request = await world.upload()

    async def mark() -> None:
        await world.storage.put_bytes(cancellation_key(request.document_id, 1), b"", "text/plain")
        await act()

    world.local.acts[2] = mark
    await world.work().perform(request)

    assert world.answers == []
    assert world.kept() == [cancellation_key(request.document_id, 1)]
    assert [key for key in world.storage.objects if key.endswith(".json")] == []


async def test_a_cancellation_after_the_end_changesnothing(world: EngineWorld) -> None:
    request = await world.upload()
    work = world.work()
    await work.perform(request)
    stored = dict(world.storage.objects)

    work.cancel(request.document_id, 1, "deleted")
    await work.perform(request)

    assert len(world.completed) == 1
    assert world.storage.objects == stored


async def test_a_stop_of_the_process_keeps_what_is_done_for_the_next(world: EngineWorld) -> None:
    request = await world.upload()
    world.local.acts[3] = for_ever
    performing = asyncio.create_task(world.work().perform(request))
    await eventually(lambda: world.local.read == [1, 2])

    performing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await performing
    assert world.answers == []
    assert world.local.abandoned == 0

    world.local.acts.clear()
    await world.work().perform(request)
    assert world.local.read == [1, 2, 3]
    assert world.completed[0].pages == PAGES
    assert world.kept() == []


# Time


async def test_long_work_goes_on_slice_by_slice(world: EngineWorld) -> None:
    request = await world.upload()
    world.local.acts[2] = for_ever

    with pytest.raises(UnfinishedError):
        await world.work(slice_seconds=1.5).perform(request)
    assert world.local.stopped
    assert world.answers == []
    world.local.acts = {3: for_ever}
    with pytest.raises(UnfinishedError):
        await world.work(slice_seconds=1.5).perform(request)
    world.local.acts = {}
    await world.work().perform(request)

    assert world.local.read == [1, 2, 3]
    assert len(world.completed) == 1
    assert world.kept() == []


async def test_all_slices_together_have_the_time_of_the_job(world: EngineWorld) -> None:
    request = await world.upload()
    world.local.acts[1] = for_ever
    slices = 0
    while not world.failed:
        slices += 1
        with suppress(UnfinishedError):
            await world.work(slice_seconds=0.2, job_seconds=3).perform(request)

    assert slices > 1
    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("timeout", False)
    assert world.kept() == []
    assert world.local.abandoned == 1


async def test_what_comes_after_its_deadline_fails_without_work(world: EngineWorld) -> None:
    request = await world.upload(deadline_at=utc_now() - timedelta(seconds=1))

    await world.work().perform(request)

    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("timeout", True)
    assert world.local.read == []


async def test_a_deadline_stops_what_is_at_work(world: EngineWorld) -> None:
    request = await world.upload(deadline_at=utc_now() + timedelta(seconds=4))
    world.local.acts[2] = for_ever

    await world.work().perform(request)

    assert world.local.stopped
    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("timeout", True)
    assert world.kept() == []


async def test_a_deadline_far_away_changesnothing(world: EngineWorld) -> None:
    await world.work().perform(await world.upload(deadline_at=utc_now() + timedelta(hours=24)))

    assert len(world.completed) == 1


async def test_a_result_that_was_made_in_time_is_told_after_the_deadline_too(world: EngineWorld) -> None:
    request = await world.upload()
    await world.work().perform(request)

    await world.work().perform(request.model_copy(update={"deadline_at": utc_now() - timedelta(hours=1)}))

    first, second = world.completed
    assert first.event_id == second.event_id


# Twice is once


async def test_a_second_delivery_that_was_faster_is_not_overwritten(world: EngineWorld) -> None:
    request = await world.upload()

    async def be_overtaken() -> None:
        world.local.acts.clear()
        await world.work().perform(request)

    world.local.acts[1] = be_overtaken
    await world.work().perform(request)

    first, second = world.completed
    assert (first.event_id, first.result_sha256) == (second.event_id, second.result_sha256)
    assert world.kept() == []


# The end


async def test_what_cannot_be_tidied_up_is_no_fault_of_the_request(world: EngineWorld) -> None:
    async def be_away(options: Options) -> None:
        raise UnavailableError("nobody answers")

    world.local.abandon = be_away
    world.local.acts[1] = fail(InputError("corrupt_file", "It is damaged."))

    await world.work().perform(await world.upload())

    assert world.failed[0].code == "corrupt_file"


async def test_giving_up_tells_the_owner_and_leavesnothing(world: EngineWorld) -> None:
    request = await world.upload()
    world.local.acts[2] = fail(UnavailableError("no worker"))
    work = world.work()
    with pytest.raises(UnavailableError):
        await work.perform(request)
    assert world.kept() != []

    await work.give_up(request, UnavailableError("no worker"), "Please try again later.")

    assert (world.failed[0].code, world.failed[0].detail) == ("engine_unavailable", "Please try again later.")
    assert world.kept() == []


# Work that is given to others


async def given_away(world: EngineWorld) -> DocumentOcrRequested:
    """Return a request whose file is with others, and not needed any more."""
    request = await world.upload()
    operation = RemoteOperation(name="operations/1", started_at=utc_now())
    await OperationStore(world.storage, request.aggregate_id, request.event_id).save("all", operation)
    del world.storage.objects[request.object_key]
    return request


async def test_what_others_read_is_fetched_without_the_file(world: EngineWorld) -> None:
    request = await given_away(world)
    world.local.others = nothing

    await world.work().perform(request)

    [completed] = world.completed
    assert orjson.loads(world.storage.objects[completed.result_key])["pages"] == ["page of others"]
    assert world.local.read == []
    assert world.kept() == []


async def test_waiting_for_others_is_not_counted_as_work(world: EngineWorld) -> None:
    request = await given_away(world)
    world.local.others = for_ever
    for _ in range(3):
        with pytest.raises(UnfinishedError):
            await world.work(job_seconds=2, slice_seconds=1).perform(request)
    world.local.others = lambda: asyncio.sleep(2.5)
    await world.work(job_seconds=2, slice_seconds=60).perform(request)

    assert len(world.completed) == 1


async def test_a_deadline_bounds_the_time_that_others_take(world: EngineWorld) -> None:
    request = await given_away(world)
    world.local.others = for_ever

    await world.work().perform(request.model_copy(update={"deadline_at": utc_now() + timedelta(seconds=2)}))

    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("timeout", True)


async def test_work_counts_on_after_others_were_waited_for(world: EngineWorld) -> None:
    request = await world.upload()

    async def wait_and_work_for_ever() -> None:
        with options_of[0].operations.waiting():
            await asyncio.sleep(0.5)
        await for_ever()

    options_of: list[Options] = []
    recognize = world.local.recognize

    async def remember(options: Options) -> Letter:
        options_of.append(options)
        return await recognize(options)

    world.local.recognize = remember
    world.local.acts[1] = wait_and_work_for_ever
    await world.work(job_seconds=1, slice_seconds=60).perform(request)

    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("timeout", False)


async def test_another_engine_reads_what_others_have_failed_at(world: EngineWorld) -> None:
    request = await world.upload(engine="documentai")
    operation = RemoteOperation(name="operations/1", started_at=utc_now())
    await OperationStore(world.storage, request.aggregate_id, request.event_id).save("all", operation)
    world.google.others = fail(UnavailableError("nobody answers"))

    await world.work(fallback_engine="local").perform(request)

    assert (world.completed[0].engine_name, world.completed[0].warnings) == ("local", ["fallback_engine_used"])
    assert world.google.read == []
