"""`python -m alta_identity.main`: the HTTP process of identity, and the only place where its parts are put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from fastapi import FastAPI
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from alta_common.audit import AuditTrail
from alta_common.clock import utc_now
from alta_common.db.engine import Sessions, check_database, create_engine, create_sessions
from alta_common.errors import UnavailableError
from alta_common.http.app import create_api
from alta_common.http.health import Check, InternalServer
from alta_common.http.idempotency import IdempotencyKeys
from alta_common.http.principal import TokenVerifier
from alta_common.http.server import serve
from alta_common.outbox import Outbox, OutboxWakeup
from alta_common.process import run
from alta_common.sealing import Sealer
from alta_common.settings import load
from alta_common.telemetry.setup import setup_telemetry
from alta_identity.api import auth, users, well_known
from alta_identity.api.deps import Services
from alta_identity.application.accounts import AccountLimits, AccountService
from alta_identity.application.housekeeping import Housekeeping
from alta_identity.application.journal import Journal
from alta_identity.application.keys import KeySchedule, KeyService
from alta_identity.application.mails import Mails
from alta_identity.application.once import Registrars
from alta_identity.application.revocations import RevocationService
from alta_identity.application.rotation import Rotation
from alta_identity.application.schedule import scheduled
from alta_identity.application.sessions import SessionLimits, SessionService
from alta_identity.models.base import SCHEMA, Clock
from alta_identity.security.keys import KeyRing, KeySealedOtherwiseError, KeyVault
from alta_identity.security.password_rules import PasswordRules
from alta_identity.security.passwords import Argon2Cost, Passwords
from alta_identity.security.peppers import Peppers
from alta_identity.security.pool import BoundedPool
from alta_identity.security.revocation_list import RevocationList
from alta_identity.security.tokens import AccessTokens
from alta_identity.settings import IdentitySettings

log = structlog.get_logger()

SERVICE = "identity"
REDIS_SECONDS = 1.0
DATABASE_PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Resources:
    engine: AsyncEngine
    redis: Redis
    wakeup: OutboxWakeup
    pool: BoundedPool


@dataclass(frozen=True, slots=True)
class Parts:
    """What one process of identity consists of."""

    engine: AsyncEngine
    services: Services
    verifier: TokenVerifier
    keys: KeyService
    revocations: RevocationService
    housekeeping: Housekeeping


@asynccontextmanager
async def identity_parts(settings: IdentitySettings, *, clock: Clock = utc_now) -> AsyncIterator[Parts]:
    """Build the parts from their settings; nothing connects before it is used. Closes them after the block."""
    async with AsyncExitStack() as closing:
        engine = create_engine(settings, application_name=SERVICE)
        closing.push_async_callback(engine.dispose)
        redis = _create_redis(settings)
        closing.push_async_callback(redis.aclose)
        wakeup = OutboxWakeup(engine, SCHEMA)
        closing.push_async_callback(wakeup.aclose)
        pool = BoundedPool(
            threads=settings.identity_hash_threads, queue_limit=timedelta(seconds=settings.identity_hash_queue_seconds)
        )
        closing.callback(pool.close)
        yield _assemble(settings, _Resources(engine, redis, wakeup, pool), clock)


def _create_redis(settings: IdentitySettings) -> Redis:
    # One quick retry is for a connection that was closed while idle; a Redis that is away must not hold a logout up.
    return Redis.from_url(
        settings.redis_url,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )


def _assemble(settings: IdentitySettings, resources: _Resources, clock: Clock) -> Parts:
    sessions = create_sessions(resources.engine)
    outbox = Outbox(SCHEMA, resources.wakeup)
    mails = Mails(outbox, Sealer(settings.sealing_keys))
    peppers = Peppers(settings.password_peppers)
    journal = Journal(AuditTrail(SCHEMA), peppers)
    idempotency = IdempotencyKeys(SCHEMA)
    passwords = Passwords(resources.pool, peppers, _cost(settings))
    ring = KeyRing()
    revoked = RevocationList(resources.redis, token_life=settings.access_token_life)
    revocations = RevocationService(sessions, revoked, clock=clock)
    accounts = AccountService(
        sessions,
        passwords=passwords,
        rules=PasswordRules(),
        outbox=outbox,
        mails=mails,
        journal=journal,
        registrars=Registrars(idempotency, peppers),
        limits=_account_limits(settings),
        clock=clock,
    )
    signing_in = SessionService(
        sessions,
        passwords=passwords,
        tokens=_create_tokens(settings, ring),
        rotation=_create_rotation(settings, mails, journal),
        revocations=revocations,
        journal=journal,
        limits=_session_limits(settings),
        clock=clock,
    )
    return Parts(
        engine=resources.engine,
        services=Services(accounts, signing_in, ring, settings.auth_issuer, settings.public_url.rstrip("/")),
        verifier=TokenVerifier(
            ring, settings.auth_issuer, settings.auth_audience, now=lambda: clock().timestamp(), keys_seconds=60
        ),
        keys=_create_keys(settings, sessions, ring, clock),
        revocations=revocations,
        housekeeping=Housekeeping(sessions, idempotency, clock=clock),
    )


def _cost(settings: IdentitySettings) -> Argon2Cost:
    return Argon2Cost(
        memory_kib=settings.identity_argon2_memory_kib,
        passes=settings.identity_argon2_time_cost,
        lanes=settings.identity_argon2_parallelism,
    )


def _even_answer(settings: IdentitySettings) -> timedelta:
    return timedelta(milliseconds=settings.identity_even_answer_ms)


def _account_limits(settings: IdentitySettings) -> AccountLimits:
    return AccountLimits(
        verification_life=timedelta(hours=settings.identity_verification_hours), even_answer=_even_answer(settings)
    )


def _session_limits(settings: IdentitySettings) -> SessionLimits:
    return SessionLimits(
        idle=timedelta(days=settings.identity_refresh_idle_days),
        longest=timedelta(days=settings.identity_refresh_max_days),
        even_answer=_even_answer(settings),
    )


def _create_tokens(settings: IdentitySettings, ring: KeyRing) -> AccessTokens:
    return AccessTokens(
        ring, issuer=settings.auth_issuer, audience=settings.auth_audience, life=settings.access_token_life
    )


def _create_rotation(settings: IdentitySettings, mails: Mails, journal: Journal) -> Rotation:
    return Rotation(
        mails=mails,
        journal=journal,
        idle=timedelta(days=settings.identity_refresh_idle_days),
        grace=timedelta(seconds=settings.identity_refresh_grace_seconds),
    )


def _create_keys(settings: IdentitySettings, sessions: Sessions, ring: KeyRing, clock: Clock) -> KeyService:
    schedule = KeySchedule(
        rotation=timedelta(days=settings.identity_key_rotation_days),
        publish_ahead=timedelta(hours=settings.identity_key_publish_ahead_hours),
    )
    return KeyService(sessions, KeyVault(settings.key_encryption_keys), ring, schedule=schedule, clock=clock)


def create_app(parts: Parts) -> FastAPI:
    """Return the HTTP application over its parts."""
    app = create_api("Alta Data: identity", verifier=parts.verifier)
    app.state.services = parts.services
    for router in (auth.router, users.router, well_known.router):
        app.include_router(router)
    return app


async def wait_for_database(engine: AsyncEngine) -> None:
    """Return when the database answers. Raises what the driver raised last when it does not for a minute."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DATABASE_PATIENCE.total_seconds()
    while True:
        try:
            await check_database(engine)
        except (UnavailableError, TimeoutError) as error:
            if loop.time() >= deadline:
                raise
            log.warning("database.awaited", error=repr(error))
            await asyncio.sleep(1)
        else:
            return


async def hold_keys(keys: KeyService) -> None:
    """Have keys to sign with. Ends the process with a clear message when the schema or the keys cannot be read."""
    try:
        await keys.keep()
    except ProgrammingError as error:
        raise SystemExit(f"schema {SCHEMA} is not ready; run python -m alta_identity.migrate: {error.orig}") from error
    except KeySealedOtherwiseError as error:
        raise SystemExit(str(error)) from error


async def _check_listening(host: str, port: int) -> None:
    # Health is served first, so that a start that waits for the database can be looked at; ready comes last.
    _, writer = await asyncio.open_connection(host, port)
    writer.close()


async def main(settings: IdentitySettings) -> None:
    """Serve until SIGTERM."""
    telemetry = setup_telemetry(settings, SERVICE)
    async with identity_parts(settings) as parts:
        checks: dict[str, Check] = {
            "postgres": partial(check_database, parts.engine),
            "http": partial(_check_listening, settings.http_host, settings.http_port),
        }
        internal = InternalServer(settings.internal_host, settings.internal_port, checks)
        await internal.start()
        await wait_for_database(parts.engine)
        await hold_keys(parts.keys)
        jobs = {
            parts.keys.keep: timedelta(minutes=1),
            parts.revocations.publish_due: timedelta(seconds=5),
            parts.housekeeping.sweep: timedelta(hours=1),
        }
        async with scheduled(jobs):
            await serve(
                create_app(parts),
                settings.http_host,
                settings.http_port,
                drain_seconds=settings.drain_seconds,
                on_drain=internal.mark_draining,
            )
        await internal.stop()
    telemetry.shutdown()


if __name__ == "__main__":
    run(main(load(IdentitySettings)))
