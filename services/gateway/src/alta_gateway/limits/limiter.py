"""Asking Redis whether a request may pass, and what to do when Redis does not answer."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from uuid import UUID

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from alta_common.errors import UnavailableError
from alta_gateway.limits.local import LocalLimiter
from alta_gateway.limits.policies import Charge
from alta_gateway.limits.script import GCRA
from alta_gateway.limits.verdict import Standing, Verdict
from alta_gateway.metrics import limiter_fallbacks
from alta_gateway.settings import GatewaySettings

log = structlog.get_logger()

# Asked for when there is no session: nothing is ever stored there.
_NO_SESSION = "revoked:session:none"
_SHA = hashlib.sha1(GCRA.encode(), usedforsecurity=False).hexdigest()


class LimiterUnavailableError(UnavailableError):
    """Guesses cannot be counted now, so none are taken."""

    code = "limiter_unavailable"


def create_redis(settings: GatewaySettings) -> "Redis":
    """Return the client of the limiter. Its pool waits: redis-py's own raises, and failing open there is a way in."""
    pool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=settings.redis_pool_size,
        # Who waits for a connection is bounded by the timeout of the whole question.
        timeout=None,
        socket_connect_timeout=settings.redis_patient_timeout_seconds,
        socket_timeout=settings.redis_patient_timeout_seconds,
        # Once more at once: an idle connection may have been closed from the other side.
        retry=Retry(NoBackoff(), 1),
        protocol=2,
    )
    return Redis(connection_pool=pool)


class Limiter:
    """Says whether a request may pass: one trip to Redis, or a local count when Redis is away."""

    def __init__(self, redis: "Redis", settings: GatewaySettings) -> None:
        self._redis = redis
        self._timeout = settings.redis_timeout_seconds
        self._patient_timeout = settings.redis_patient_timeout_seconds
        self._retry_seconds = settings.redis_retry_seconds
        self._local = LocalLimiter(settings.gateway_workers)
        self._away_until = 0.0

    async def take(self, charges: Sequence[Charge], session_id: UUID | None, *, fails_closed: bool) -> Verdict:
        """Count a request against its limits, all or nothing, and look whether its session has been ended.

        Without Redis a route that fails closed raises `LimiterUnavailableError`; others are counted locally, and
        Redis is left alone for a moment, so that its absence does not slow every request down.
        """
        if not fails_closed and time.monotonic() < self._away_until:
            limiter_fallbacks.labels("away").inc()
            return self._local.take(charges)
        try:
            async with asyncio.timeout(self._patient_timeout if fails_closed else self._timeout):
                return await self._ask(charges, session_id)
        except (RedisError, OSError, TimeoutError) as error:
            return self._without_redis(charges, error, fails_closed=fails_closed)

    async def check(self) -> None:
        """Raise when Redis does not answer (readiness)."""
        async with asyncio.timeout(1):
            await self._redis.ping()

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _ask(self, charges: Sequence[Charge], session_id: UUID | None) -> Verdict:
        session = f"revoked:session:{session_id}" if session_id else _NO_SESSION
        keys = [session, *(charge.key for charge in charges)]
        numbers: list[str | int] = []
        for charge in charges:
            numbers += (charge.policy.interval_micros, charge.policy.rate.burst, charge.cost)
        try:
            answer = await self._redis.evalsha(_SHA, len(keys), *keys, *numbers)
        except NoScriptError:
            # Redis started anew; EVAL makes it remember the script.
            answer = await self._redis.eval(GCRA, len(keys), *keys, *numbers)
        if answer[0]:
            return Verdict(is_revoked=True, standings=())
        found = iter(answer[1:])
        standings = [Standing(charge.policy, max(0, next(found)), next(found), next(found)) for charge in charges]
        return Verdict(is_revoked=False, standings=standings)

    def _without_redis(self, charges: Sequence[Charge], error: Exception, *, fails_closed: bool) -> Verdict:
        if time.monotonic() >= self._away_until:
            log.warning("limiter.redis_away", error=str(error) or type(error).__name__, fails_closed=fails_closed)
        limiter_fallbacks.labels("timeout" if isinstance(error, TimeoutError) else "error").inc()
        if fails_closed:
            raise LimiterUnavailableError(
                "This cannot be done safely right now; please try again shortly.", 2
            ) from error
        self._away_until = time.monotonic() + self._retry_seconds
        return self._local.take(charges)
