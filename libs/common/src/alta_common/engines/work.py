"""The life of a request in an engine service, from its delivery to its answer.

What is particular to documents or recordings is in the service's own `Kind`; everything that makes twice once, keeps
time, and stops what nobody wants any more is here.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic
from uuid import UUID

import structlog

from alta_common.contracts.event import Event
from alta_common.contracts.results import cancellation_key
from alta_common.engines.checkpoints import Checkpoint, StoredCheckpoint
from alta_common.engines.kind import EngineT, Kind, ReadingT, RequestT, ResultT
from alta_common.engines.operations import OperationStore
from alta_common.engines.port import EngineError, SourceFile
from alta_common.engines.progress import ProgressReporter, Publisher
from alta_common.engines.requests import EngineRequest, downloaded
from alta_common.engines.results import ResultStore
from alta_common.engines.rules import Budget, WorkRules, too_late, too_much_work
from alta_common.engines.running import RunningWork, WorkCancelledError
from alta_common.engines.table import EngineTable
from alta_common.engines.work_time import WorkTime
from alta_common.errors import NotFoundError, UnavailableError
from alta_common.messaging.failures import UnfinishedError
from alta_common.storage.object_storage import ObjectStorage
from alta_common.telemetry.context import span
from alta_common.telemetry.metrics import engine_fallbacks

log = structlog.get_logger()

FALLBACK_WARNING = "fallback_engine_used"

_CLEAN_UP_SECONDS = 30.0
_SPENT = "seconds"


@dataclass(frozen=True)
class _Kept:
    """What outlives a delivery of a request that is not answered yet, and how long this delivery works."""

    checkpoint: StoredCheckpoint
    operations: OperationStore
    clock: WorkTime


class EngineWork(Generic[RequestT, EngineT, ReadingT, ResultT]):
    """Works on the requests of one kind with the engine that the request or the deployment names."""

    def __init__(
        self,
        kind: Kind[RequestT, EngineT, ReadingT, ResultT],
        storage: ObjectStorage,
        engines: Mapping[str, EngineT],
        publisher: Publisher,
        rules: WorkRules,
    ) -> None:
        self._kind = kind
        self._storage = storage
        self._engines = EngineTable(kind.name, engines, rules.default_engine, rules.fallback_engine)
        self._publisher = publisher
        self._rules = rules
        self._results = ResultStore(storage, kind.result)
        self._running = RunningWork()

    async def perform(self, request: RequestT) -> None:
        """Read the file, store the result, publish what came of it; returns when the broker holds that.

        Twice is once: a result that an earlier delivery has stored is published again without reading again, and
        whatever is published for one request has the same id each time. Of a cancelled request nothing is published.
        Raises `UnavailableError` when storage, broker or engine are not there: the request is to come again later.
        Raises `UnfinishedError` when the delivery's slice of time is over: the next one goes on from what is kept.
        """
        log.info("work.started", **_ids(request), size_bytes=request.size_bytes)
        kept = self._kept(request)
        try:
            async with self._running.on(request.aggregate_id, request.attempt):
                answer, outcome = await self._answer(request, kept)
        except WorkCancelledError:
            outcome = "cancelled"
        else:
            await self._publisher.publish(answer)
        await self._finish(request, kept, outcome)

    async def give_up(self, request: RequestT, error: Exception, detail: str) -> None:
        """Tell the owner that the file was not read, although nothing is wrong with it that we know of."""
        log.error("work.given_up", **_ids(request), error=repr(error))
        await self._publisher.publish(
            self._kind.failed(request, EngineError("engine_unavailable", detail, retryable=True))
        )
        await self._finish(request, self._kept(request), "given_up")

    def cancel(self, item_id: UUID, attempt: int, reason: str) -> None:
        """Stop the work on an item's attempt, and on those before it, at once; what comes late finds it cancelled."""
        stopped = self._running.cancel(item_id, attempt)
        if stopped:
            log.info("work.cancelled", **{f"{self._kind.name}_id": item_id}, attempt=attempt, reason=reason)

    def _kept(self, request: RequestT) -> _Kept:
        checkpoint = StoredCheckpoint(self._storage, request.aggregate_id, request.event_id)
        clock = WorkTime()
        return _Kept(checkpoint, OperationStore.of(self._storage, request, clock), clock)

    async def _answer(self, request: RequestT, kept: _Kept) -> tuple[Event, str]:
        await self._refuse_cancelled(request)
        if (found := await self._found(request)) is not None:
            return found, "republished"
        try:
            reading, seconds = await self._within_limits(request, kept)
        except EngineError as error:
            await self._refuse_cancelled(request)
            return self._kind.failed(request, error), error.code
        # Before the result is stored, so that what nobody wants leaves nothing behind.
        await self._refuse_cancelled(request)
        if (found := await self._found(request)) is not None:
            # A second delivery was faster. Its result may be known already, and must stay as it is.
            return found, "republished"
        with span(f"{self._kind.service}.store") as present:
            content = await asyncio.to_thread(self._kind.serialized, request, reading)
            present.set_attribute("alta.bytes", len(content))
            stored = await self._results.store(request, content)
        return await asyncio.to_thread(self._kind.completed, request, stored, reading, seconds), "completed"

    async def _refuse_cancelled(self, request: RequestT) -> None:
        try:
            await self._storage.size(cancellation_key(request.aggregate_id, request.attempt))
        except NotFoundError:
            return
        raise WorkCancelledError

    async def _found(self, request: RequestT) -> Event | None:
        found = await self._results.find(request)
        # In a thread: a book has millions of words to take the mean of.
        return None if found is None else await asyncio.to_thread(self._kind.completed, request, *found, 0.0)

    async def _within_limits(self, request: RequestT, kept: _Kept) -> tuple[ReadingT, float]:
        spent = await self._spent(kept)
        budget = Budget.of(request, self._rules, spent)
        delivery = asyncio.timeout(budget.seconds)
        try:
            async with delivery, kept.clock.at_most(budget.work_seconds):
                return await self._read(request, kept)
        except TimeoutError as error:
            if kept.clock.is_over:
                raise too_much_work(self._rules) from error
            if not delivery.expired():
                raise
            if budget.limit == "deadline":
                raise too_late() from error
        await self._spending(kept).save(_SPENT, f"{spent + kept.clock.worked_seconds:.3f}".encode())
        raise UnfinishedError(f"a slice of {budget.seconds:g} s is over")

    async def _spent(self, kept: _Kept) -> float:
        """Return the work of earlier slices, in seconds. One that was killed is not counted: no fault of the file."""
        return float((await self._spending(kept).load()).get(_SPENT, b"0"))

    def _spending(self, kept: _Kept) -> Checkpoint:
        return kept.checkpoint.of("work")

    async def _read(self, request: RequestT, kept: _Kept) -> tuple[ReadingT, float]:
        event_of = partial(self._kind.progressed, request)
        progress = ProgressReporter(self._publisher, event_of, self._rules.progress_every_seconds)
        if self._kind.length_is_known_late:
            progress(0, 0)
        name = self._engines.name_of(request.engine)
        try:
            failure: EngineError | UnavailableError | None = None
            try:
                # Who has given the file away needs it no more: neither the download nor to look at it again.
                if (resumed := await self._resumed(name, request, kept, progress)) is not None:
                    return resumed
            except (EngineError, UnavailableError) as error:
                if self._engines.fallback_after(name, error) is None:
                    raise
                failure = error
            async with downloaded(request, self._storage, self._kind.service) as source:
                if failure is None:
                    try:
                        return await self._read_with(name, source, request, kept, progress)
                    except (EngineError, UnavailableError) as error:
                        failure = error
                return await self._read_instead(failure, source, request, kept, progress)
        finally:
            await progress.close()

    async def _resumed(
        self, name: str, request: RequestT, kept: _Kept, progress: ProgressReporter
    ) -> tuple[ReadingT, float] | None:
        engine = self._engines.get(name)
        options = self._kind.options(request, kept.checkpoint.of(name), kept.operations)
        started = time.perf_counter()
        reading = await self._kind.resume(engine, options, progress)
        return None if reading is None else (reading, time.perf_counter() - started)

    async def _read_instead(
        self,
        failure: EngineError | UnavailableError,
        source: SourceFile,
        request: RequestT,
        kept: _Kept,
        progress: ProgressReporter,
    ) -> tuple[ReadingT, float]:
        """Have another engine read after the `failure` of the one asked for. Raises `failure` where there is none."""
        name = self._engines.name_of(request.engine)
        fallback = self._engines.fallback_after(name, failure)
        if fallback is None:
            raise failure
        log.warning("engine.fell_back", **_ids(request), engine=name, fallback=fallback, error=repr(failure))
        engine_fallbacks.labels(name, fallback).inc()
        reading, seconds = await self._read_with(fallback, source, request, kept, progress)
        reading.warnings.append(FALLBACK_WARNING)
        await self._abandon(request, kept, name)
        return reading, seconds

    async def _read_with(
        self, name: str, source: SourceFile, request: RequestT, kept: _Kept, progress: ProgressReporter
    ) -> tuple[ReadingT, float]:
        engine = self._engines.get(name)
        options = self._kind.options(request, kept.checkpoint.of(name), kept.operations)
        started = time.perf_counter()
        with span(f"{self._kind.service}.engine") as present:
            reading = await self._kind.read(engine, source, options, progress)
            present.set_attribute("alta.engine", reading.engine.name)
        return reading, time.perf_counter() - started

    async def _finish(self, request: RequestT, kept: _Kept, outcome: str) -> None:
        """Account for the request, and remove what was kept for another delivery."""
        self._kind.jobs.labels(outcome).inc()
        log.info("work.finished", **_ids(request), outcome=outcome)
        if outcome != "completed":
            for name in self._engines.concerned(request.engine):
                await self._abandon(request, kept, name)
        try:
            async with asyncio.timeout(_CLEAN_UP_SECONDS):
                await kept.operations.clear_all()
                await kept.checkpoint.clear()
        except Exception as error:  # noqa: BLE001  # the request is answered; what is left over only takes space
            log.warning("work.not_cleaned_up", **_ids(request), error=repr(error))

    async def _abandon(self, request: RequestT, kept: _Kept, name: str) -> None:
        options = self._kind.options(request, kept.checkpoint.of(name), kept.operations)
        try:
            async with asyncio.timeout(_CLEAN_UP_SECONDS):
                await self._engines.get(name).abandon(options)
        except Exception as error:  # noqa: BLE001  # what cannot be stopped is paid for, and does no other harm
            log.warning("work.not_abandoned", **_ids(request), engine=name, error=repr(error))


def _ids(request: EngineRequest) -> dict[str, Any]:
    return {f"{request.AGGREGATE}_id": request.aggregate_id, "attempt": request.attempt}
