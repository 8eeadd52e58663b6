"""The one OpenAPI document: fetched from the services, merged, remembered."""

import asyncio
import time

import aiohttp
import orjson
import structlog

from alta_common.errors import UnavailableError
from alta_gateway.answers import Answer
from alta_gateway.api.document import Document, base_document
from alta_gateway.api.merge import merge
from alta_gateway.api.tagged import Tagged
from alta_gateway.exchange import Exchange
from alta_gateway.routing import RouteTable
from alta_gateway.upstream.client import Upstream, read_bounded

log = structlog.get_logger()

_FETCH_SECONDS = 3.0
_MAX_BYTES = 8 * 1024 * 1024


class OpenApi:
    """Serves the merged document. A service that is away keeps the place it last had.

    One that was never seen makes it 503, unless the gateway works without it: then it is left out until it is there.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        upstreams: dict[str, Upstream],
        routes: RouteTable,
        *,
        version: str,
        public_url: str,
        fresh_seconds: float,
    ) -> None:
        self._session = session
        self._upstreams = upstreams
        self._routes = routes
        self._base = base_document(version, public_url)
        self._fresh_seconds = fresh_seconds
        self._documents: dict[str, Document] = {}
        self._merged: Tagged | None = None
        self._tried_at: float | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, exchange: Exchange) -> Answer:
        """`GET /openapi.json`."""
        merged = await self._current()
        return await merged(exchange)

    async def _current(self) -> Tagged:
        async with self._one_at_a_time:
            is_old = self._tried_at is None or time.monotonic() - self._tried_at > self._fresh_seconds
            # What is not whole is tried again at every request: somebody is waiting for it.
            if is_old or self._missing:
                await self._refresh()
        if self._merged is None:
            raise UnavailableError(f"The document is not whole yet: {', '.join(self._missing)} cannot be reached.", 5)
        return self._merged

    @property
    def _missing(self) -> list[str]:
        needed = {name for name, upstream in self._upstreams.items() if not upstream.is_optional}
        return sorted(needed - self._documents.keys())

    async def _refresh(self) -> None:
        self._tried_at = time.monotonic()
        fetched = await asyncio.gather(*(self._fetch(upstream) for upstream in self._upstreams.values()))
        self._documents |= {name: document for name, document in fetched if document is not None}
        if not self._missing:
            ordered = {name: self._documents[name] for name in self._upstreams if name in self._documents}
            self._merged = Tagged.of(orjson.dumps(merge(ordered, self._routes, self._base)))

    async def _fetch(self, upstream: Upstream) -> tuple[str, Document | None]:
        timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
        try:
            url = upstream.url(b"/openapi.json")
            async with self._session.get(url, timeout=timeout, raise_for_status=True) as answer:
                document = orjson.loads(await read_bounded(answer, _MAX_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("openapi.not_fetched", upstream=upstream.name, error=repr(error))
            return upstream.name, None
        return upstream.name, document if isinstance(document, dict) else None
