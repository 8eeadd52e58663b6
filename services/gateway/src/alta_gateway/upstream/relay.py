"""A service's answer on its way to the client."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import aiohttp

from alta_gateway.answers import DOWNLOAD_POLICY, RawHeaders, Refusal
from alta_gateway.exchange import Exchange
from alta_gateway.forwarding import response_headers
from alta_gateway.routing import Route

_ERRORS = 400
_DETAIL = "The service did not say more."
_NO_BODY = (204, 304)


async def relay(exchange: Exchange, route: Route, response: aiohttp.ClientResponse, stopping: asyncio.Event) -> None:
    """Pass an answer on as it comes. Errors that are no problem document become one.

    A stream without an end of its own ends, as if it were whole, when the gateway is `stopping`.
    """
    if response.status >= _ERRORS and not _explains(response):
        response.close()
        await exchange.answer(_problem_of(response).answer(exchange.path))
        return
    headers = response_headers(response.raw_headers)
    if route.is_download:
        headers.append(DOWNLOAD_POLICY)
        if not any(name == b"content-disposition" for name, _ in headers):
            headers.append((b"content-disposition", b"attachment"))
    await exchange.start(response.status, headers)
    try:
        if route.is_stream:
            await _pass_on(exchange, response, stopping)
        else:
            await _pass_on(exchange, response)
    finally:
        # A connection that still carries the rest of either body is of no use to the next request.
        if not exchange.body_is_read or not response.content.is_eof():
            response.close()


async def _pass_on(exchange: Exchange, response: aiohttp.ClientResponse, stopping: asyncio.Event | None = None) -> None:
    stream = response.content
    if exchange.method == "HEAD" or response.status in _NO_BODY:
        await exchange.send_body(b"", more=False)
        return
    while True:
        piece = await (stream.readany() if stopping is None else _until(stopping, stream.readany()))
        is_last = not piece or stream.at_eof()
        await exchange.send_body(piece, more=not is_last)
        if is_last:
            return


async def _until(stopping: asyncio.Event, reading: Coroutine[Any, Any, bytes]) -> bytes:
    """Return what is read, or nothing when the gateway stops first."""
    read, stopped = asyncio.ensure_future(reading), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({read, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return read.result() if read.done() else b""
    finally:
        for task in (read, stopped):
            task.cancel()


def _explains(response: aiohttp.ClientResponse) -> bool:
    # Plain text and pages are a framework's own words; JSON is a protocol's (OAuth has errors of its own: RFC 6749).
    return response.content_type.endswith("json")


def _problem_of(response: aiohttp.ClientResponse) -> Refusal:
    codes = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large", 500: "internal_error"}
    kept: RawHeaders = [
        (name.lower(), value)
        for name, value in response.raw_headers
        if name.lower() in (b"allow", b"retry-after", b"www-authenticate")
    ]
    return Refusal(response.status, codes.get(response.status, "upstream_error"), _DETAIL, kept)
