import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog

log = structlog.get_logger()

Job = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def scheduled(jobs: dict[Job, timedelta]) -> AsyncIterator[None]:
    """Do each job again and again, with its pause in between, while the block runs."""
    tasks = [asyncio.create_task(_repeat(job, pause)) for job, pause in jobs.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(job: Job, pause: timedelta) -> None:
    while True:
        await asyncio.sleep(pause.total_seconds())
        try:
            await job()
        except Exception as error:  # noqa: BLE001 - a job that failed is due again after its pause; the loop must live
            log.warning("schedule.job_failed", job=getattr(job, "__qualname__", repr(job)), error=repr(error))
