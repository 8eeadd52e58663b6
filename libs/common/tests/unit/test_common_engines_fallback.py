"""Another engine stands in only where the deployment says so, and never in silence."""

import orjson
import pytest

from alta_common.engines.port import EngineError, InputError
from alta_common.errors import UnavailableError
from alta_common.messaging.failures import UnfinishedError
from alta_common.testing.engines import EngineWorld, fail, for_ever


@pytest.fixture
def world() -> EngineWorld:
    return EngineWorld()


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("nobody answers"),
        EngineError("quota_exceeded", "Too much today.", retryable=True),
        EngineError("engine_unavailable", "It is switched off."),
    ],
    ids=repr,
)
async def test_another_engine_reads_when_the_one_asked_for_is_away_and_says_so(
    world: EngineWorld, error: Exception
) -> None:
    world.google.acts[1] = fail(error)

    await world.work(fallback_engine="local").perform(await world.upload(engine="documentai"))

    [completed] = world.completed
    assert (completed.engine_name, completed.warnings) == ("local", ["fallback_engine_used"])
    assert orjson.loads(world.storage.objects[completed.result_key])["warnings"] == ["fallback_engine_used"]
    assert world.google.abandoned == 1


async def test_another_engine_reads_where_the_one_asked_for_is_not_configured(world: EngineWorld) -> None:
    del world.engines["documentai"]

    await world.work(fallback_engine="local").perform(await world.upload(engine="google"))

    assert world.completed[0].warnings == ["fallback_engine_used"]


async def test_nobody_stands_in_unless_the_deployment_says_so(world: EngineWorld) -> None:
    world.google.acts[1] = fail(EngineError("quota_exceeded", "Too much today.", retryable=True))

    await world.work().perform(await world.upload(engine="documentai"))

    assert world.local.read == []
    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("quota_exceeded", True)


async def test_nobody_stands_in_for_an_engine_that_found_fault_with_the_file(world: EngineWorld) -> None:
    world.google.acts[1] = fail(InputError("corrupt_file", "It is damaged."))

    await world.work(fallback_engine="local").perform(await world.upload(engine="documentai"))

    assert world.failed[0].code == "corrupt_file"
    assert world.local.read == []


async def test_an_engine_does_not_stand_in_for_itself(world: EngineWorld) -> None:
    world.local.acts[1] = fail(UnavailableError("no worker"))

    with pytest.raises(UnavailableError):
        await world.work(fallback_engine="local").perform(await world.upload())


async def test_the_fallback_begins_from_nothing_and_the_engine_asked_for_is_asked_first_again(
    world: EngineWorld,
) -> None:
    request = await world.upload(engine="documentai")
    world.google.acts[2] = fail(UnavailableError("nobody answers"))
    world.local.acts[2] = for_ever
    work = world.work(fallback_engine="local", slice_seconds=3)

    with pytest.raises(UnfinishedError):
        await work.perform(request)
    world.google.acts.clear()
    await world.work(fallback_engine="local").perform(request)

    assert (world.local.read, world.google.read) == ([1], [1, 2, 3])
    assert (world.completed[0].engine_name, world.completed[0].warnings) == ("documentai", [])
    assert world.kept() == []


@pytest.mark.parametrize("asked", ["documentai", "google"])
async def test_an_engine_that_is_not_configured_is_named(world: EngineWorld, asked: str) -> None:
    del world.engines["documentai"]

    await world.work().perform(await world.upload(engine=asked))

    [failed] = world.failed
    assert (failed.code, failed.retryable) == ("engine_unavailable", False)
    assert "'documentai'" in failed.detail
