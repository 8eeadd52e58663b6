"""The gateway's process: `python -m alta_gateway.main`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from alta_common.http.health import InternalServer
from alta_common.http.tokens import TokenVerifier
from alta_common.process import run, until_stopped
from alta_common.settings import load
from alta_common.telemetry.setup import setup_telemetry
from alta_gateway.api.asyncapi import asyncapi_documents
from alta_gateway.api.health import Check, Health, HttpProbe
from alta_gateway.api.openapi import OpenApi
from alta_gateway.api.pages import Page, to_docs
from alta_gateway.cors import Cors
from alta_gateway.limits.limiter import Limiter, create_redis
from alta_gateway.limits.policies import Policies
from alta_gateway.pipeline import Gateway, OwnEndpoint, Parts
from alta_gateway.routes import routes_of
from alta_gateway.routing import RouteTable
from alta_gateway.server import serving
from alta_gateway.settings import GatewaySettings
from alta_gateway.upstream.client import Upstream, create_session, create_upstreams
from alta_gateway.upstream.forward import Forwarder
from alta_gateway.upstream.jwks import UpstreamJwks

VERSION = "0.1.0"


@asynccontextmanager
async def create_gateway(settings: GatewaySettings) -> AsyncIterator[tuple[Gateway, Health]]:
    """Build the application and what it rests on; give all of it back at the end."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(create_session(settings))
        limiter = Limiter(create_redis(settings), settings)
        stack.push_async_callback(limiter.aclose)
        verifier = TokenVerifier(
            UpstreamJwks(session, settings.auth_jwks_url), settings.auth_issuer, settings.auth_audience
        )
        routes = RouteTable(routes_of(settings))
        upstreams = create_upstreams(settings)
        health = _health(settings, session, upstreams, verifier, limiter)
        openapi = OpenApi(
            session,
            upstreams,
            routes,
            version=VERSION,
            public_url=settings.public_url,
            fresh_seconds=settings.openapi_seconds,
        )
        parts = Parts(
            settings=settings,
            routes=routes,
            own=_own_endpoints(health, openapi),
            cors=Cors(settings.cors_origins),
            verifier=verifier,
            policies=Policies(settings),
            limiter=limiter,
            forwarder=Forwarder(session, upstreams, settings),
        )
        yield Gateway(parts), health


def _own_endpoints(health: Health, openapi: OpenApi) -> dict[str, OwnEndpoint]:
    return {
        "/": to_docs,
        "/docs": Page("docs"),
        "/verify-email": Page("verify-email"),
        "/openapi.json": openapi,
        **asyncapi_documents(VERSION),
        "/health": health.overview,
        "/health/live": health.live,
        "/health/ready": health.ready,
    }


def _health(
    settings: GatewaySettings,
    session: aiohttp.ClientSession,
    upstreams: dict[str, Upstream],
    verifier: TokenVerifier,
    limiter: Limiter,
) -> Health:
    services: dict[str, Check] = {
        name: HttpProbe(session, f"{upstream.base_url}/health/live", expects_ok=False)
        for name, upstream in upstreams.items()
    }
    for named in settings.health_urls:
        name, _, url = named.partition("=")
        services[name] = HttpProbe(session, url, expects_ok=True)
    required = [name for name, upstream in upstreams.items() if not upstream.is_optional]
    needed: dict[str, Check] = {**{name: services[name] for name in required}, "keys": verifier.check}
    return Health(VERSION, services, needed, {"redis": limiter.check})


async def main() -> None:
    """Run until a signal ends it."""
    settings = load(GatewaySettings)
    telemetry = setup_telemetry(settings, "gateway", VERSION)
    try:
        async with create_gateway(settings) as (gateway, health):
            internal = InternalServer(settings.internal_host, settings.internal_port, health.checks)
            await internal.start()

            try:
                async with serving(gateway, settings):
                    await until_stopped()
                    health.mark_draining()
                    internal.mark_draining()
                    gateway.release()
            finally:
                await internal.stop()
    finally:
        telemetry.shutdown()


if __name__ == "__main__":
    run(main())
