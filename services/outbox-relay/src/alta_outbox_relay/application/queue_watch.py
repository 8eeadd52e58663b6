"""Measuring the queues again and again, for the metrics."""

import asyncio
from collections.abc import Iterable
from typing import TypeAlias

import structlog
from prometheus_client import Gauge

from alta_common.errors import UnavailableError
from alta_outbox_relay.application import metrics
from alta_outbox_relay.application.queues import QueueOperations
from alta_outbox_relay.models.queue import QueueState

log = structlog.get_logger()

_Series: TypeAlias = tuple[Gauge, tuple[str, ...]]


class QueueWatch:
    """Keeps the gauges of all queues true. While the broker is away there are none, rather than old ones."""

    def __init__(self, queues: QueueOperations, seconds: float) -> None:
        self._queues = queues
        self._seconds = seconds
        self._shown: dict[_Series, float] = {}

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await self.measure()
            await asyncio.sleep(self._seconds)

    async def measure(self) -> None:
        """Measure once. Never fails."""
        try:
            states = await self._queues.measure()
        except UnavailableError as error:
            log.warning("queues.not_measured", error=error.detail)
            self._failed()
        except Exception:
            # A fault of ours: worth a stack, and no reason to stop measuring for good.
            log.exception("queues.measuring_failed")
            self._failed()
        else:
            metrics.queue_measurements.labels("ok").inc()
            self._show(_values_of(states))

    def _failed(self) -> None:
        metrics.queue_measurements.labels("failed").inc()
        self._show({})

    def _show(self, values: dict[_Series, float]) -> None:
        for (gauge, labels), value in values.items():
            gauge.labels(*labels).set(value)
        for gauge, labels in self._shown.keys() - values.keys():
            gauge.remove(*labels)
        self._shown = values


def _values_of(states: Iterable[QueueState]) -> dict[_Series, float]:
    values: dict[_Series, float | None] = {}
    for state in states:
        values[metrics.queue_messages, (state.name, "ready")] = state.ready
        values[metrics.queue_messages, (state.name, "unacknowledged")] = state.unacknowledged
        values[metrics.queue_consumers, (state.name,)] = state.consumers
        values[metrics.queue_head_age, (state.name,)] = state.head_age_seconds
    return {series: value for series, value in values.items() if value is not None}
