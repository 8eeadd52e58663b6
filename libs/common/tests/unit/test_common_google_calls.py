"""How calls to Google are repeated, whose fault their errors are, and how they are held back."""

import asyncio
from typing import Any

import pytest
from google.api_core import exceptions
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo

from alta_common.engines.google.calls import GoogleCalls, Patience, create_limiter
from alta_common.engines.google.errors import InputFault
from alta_common.engines.google.limiter import Limiter, Pace
from alta_common.engines.port import EngineError, InputError
from alta_common.errors import UnavailableError
from alta_common.testing import eventually

FAULTS = (InputFault.of("no such language", "unsupported_language", "We do not know the language."),)
QUICK = Patience(attempt_seconds=5, total_seconds=60, first_pause_seconds=0.001, longest_pause_seconds=0.001)
IMPATIENT = Patience(attempt_seconds=5, total_seconds=0, first_pause_seconds=0.001, longest_pause_seconds=0.001)


class Method:
    """A method of Google's that fails with each of `failures`, and then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.calls: list[dict[str, Any]] = []
        self._failures = list(failures)

    async def __call__(self, **arguments: Any) -> str:
        self.calls.append(arguments)
        if self._failures:
            raise self._failures.pop(0)
        return "answer"


def calls(patience: Patience = QUICK) -> GoogleCalls:
    return GoogleCalls("test", create_limiter("test", per_minute=60_000, at_once=4), FAULTS, patience)


async def failure_of(method: Method, patience: Patience = QUICK) -> Exception:
    with pytest.raises(Exception) as failed:
        await calls(patience).call(method, "request")
    return failed.value


async def test_the_librarys_own_retries_are_switched_off_and_its_time_limit_is_ours() -> None:
    method = Method()

    assert await calls().call(method, "request") == "answer"

    assert method.calls == [{"request": "request", "retry": None, "timeout": 5}]


@pytest.mark.parametrize(
    "kind",
    [
        exceptions.ServiceUnavailable,
        exceptions.ResourceExhausted,
        exceptions.DeadlineExceeded,
        exceptions.InternalServerError,
        exceptions.Aborted,
        exceptions.Unknown,
    ],
)
async def test_what_may_pass_is_tried_again(kind: type[exceptions.GoogleAPICallError]) -> None:
    method = Method(kind("later"), kind("later"))

    assert await calls().call(method, "request") == "answer"

    assert len(method.calls) == 3


async def test_what_does_not_pass_is_for_the_queue() -> None:
    error = await failure_of(Method(exceptions.ServiceUnavailable("still away")), IMPATIENT)

    assert isinstance(error, UnavailableError)
    assert "still away" in error.detail


async def test_google_may_ask_for_a_longer_pause_than_there_is_patience_for() -> None:
    asked = RetryInfo(retry_delay=Duration(seconds=3600))

    error = await failure_of(Method(exceptions.ResourceExhausted("quota", details=[asked])))

    assert isinstance(error, UnavailableError)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.InvalidArgument("There is no such language."), "unsupported_language"),
        (exceptions.InvalidArgument("The file is odd."), "invalid_input"),
        (exceptions.OutOfRange("Beyond the end."), "invalid_input"),
        (exceptions.ResourceExhausted("Received message larger than max (5 vs. 4)"), "file_too_large"),
    ],
)
async def test_a_fault_of_the_file_is_final(error: Exception, code: str) -> None:
    method = Method(error)

    failure = await failure_of(method)

    assert isinstance(failure, InputError)
    assert (failure.code, failure.retryable) == (code, False)
    assert len(method.calls) == 1


@pytest.mark.parametrize(
    "error",
    [
        exceptions.PermissionDenied("no"),
        exceptions.Unauthenticated("who?"),
        exceptions.FailedPrecondition("billing is disabled"),
        exceptions.NotFound("no such processor"),
        exceptions.MethodNotImplemented("not here"),
        exceptions.InvalidArgument("Request contains an invalid argument."),
        exceptions.InvalidArgument("Invalid location: 'eu' must match the server deployment 'us'"),
    ],
)
async def test_a_fault_of_the_deployment_is_nobodys_file(error: Exception) -> None:
    method = Method(error)

    failure = await failure_of(method)

    assert isinstance(failure, EngineError)
    assert not isinstance(failure, InputError)
    assert (failure.code, failure.retryable) == ("engine_unavailable", True)
    assert len(method.calls) == 1


async def test_a_refusal_is_remembered_until_a_call_goes_well() -> None:
    google = calls()
    google.check()
    with pytest.raises(EngineError):
        await google.call(Method(exceptions.PermissionDenied("no")), "request")

    with pytest.raises(UnavailableError):
        google.check()
    await google.call(Method(), "request")
    google.check()


async def test_a_place_is_free_again_after_a_failure_and_after_a_cancellation() -> None:
    limiter = Limiter(60_000, 1, lambda _: None)
    with pytest.raises(ValueError, match="broken"):
        async with limiter.turn():
            raise ValueError("broken")
    started = asyncio.Event()

    async def stay() -> None:
        async with limiter.turn():
            started.set()
            await asyncio.Event().wait()

    staying = asyncio.create_task(stay())
    await started.wait()
    waiting = asyncio.create_task(stay())
    await asyncio.sleep(0)
    waiting.cancel()
    staying.cancel()
    await asyncio.wait([staying, waiting])

    async with asyncio.timeout(30), limiter.turn():
        pass


async def test_no_more_run_at_a_time_than_may_and_who_comes_first_is_first() -> None:
    waits: list[float] = []
    limiter = Limiter(60_000, 2, waits.append)
    begun: list[int] = []
    go = [asyncio.Event() for _ in range(4)]

    async def work(number: int) -> None:
        async with limiter.turn():
            begun.append(number)
            await go[number].wait()

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    await eventually(lambda: begun == [0, 1])
    go[1].set()
    await eventually(lambda: begun == [0, 1, 2])
    for event in go:
        event.set()
    await asyncio.gather(*tasks)

    assert begun == [0, 1, 2, 3]
    assert len(waits) == 4


def test_a_minute_has_as_many_tokens_as_it_may() -> None:
    pace = Pace(per_minute=60, burst=3)

    assert [pace.take(1000.0) for _ in range(5)] == pytest.approx([0, 0, 0, 1, 2])
    assert pace.take(1001.5) == pytest.approx(1.5)
    assert [pace.take(2000.0) for _ in range(4)] == pytest.approx([0, 0, 0, 1])


def test_a_token_that_is_given_back_can_be_taken_again() -> None:
    pace = Pace(per_minute=60, burst=1)
    pace.take(1000.0)
    assert pace.take(1000.0) == pytest.approx(1)

    pace.give_back()

    assert pace.take(1000.0) == pytest.approx(1)
