"""A request's body on its way to a service: passed on as it comes, counted, never held."""

import asyncio
from collections.abc import AsyncIterator

from alta_common.errors import TooLargeError
from alta_gateway.exchange import ClientGoneError, Exchange


class RequestBody:
    """The body of an exchange, as the upstream client wants it. `failure` says why it stopped early, if it did."""

    def __init__(self, exchange: Exchange, limit: int) -> None:
        self.failure: Exception | None = None
        self._exchange = exchange
        self._limit = limit
        self._deadline: asyncio.Timeout | None = None
        self._idle_seconds = 0.0
        self._first_byte_seconds = 0.0
        self._first = b""

    def watch(self, deadline: asyncio.Timeout, idle_seconds: float, first_byte_seconds: float) -> None:
        """Let `deadline` follow the body: so long for each piece to be taken, so long for the answer after the last."""
        self._deadline = deadline
        self._idle_seconds = idle_seconds
        self._first_byte_seconds = first_byte_seconds
        # Until the client sends, nobody is late: the protocol looks after the client's pace.
        self._allow(first_byte_seconds if self._exchange.body_is_read else None)

    def unwatch(self) -> None:
        """Leave the deadline alone: the answer has begun."""
        self._deadline = None

    async def first(self) -> bytes | None:
        """Return the whole body if it has arrived in one piece already, else None; small bodies need no stream."""
        exchange = self._exchange
        if not exchange.has_body:
            return None
        message = await exchange.receive()
        self._first = self._taken(message)
        return self._first if exchange.body_is_read else None

    async def rest(self) -> AsyncIterator[bytes]:
        """Yield the pieces, beginning with the one that `first` took."""
        piece = self._first
        while True:
            if piece:
                self._allow(self._idle_seconds)
                yield piece
            self._allow(self._first_byte_seconds if self._exchange.body_is_read else None)
            if self._exchange.body_is_read:
                return
            try:
                piece = self._taken(await self._exchange.receive())
            except (TooLargeError, ClientGoneError) as error:
                self.failure = error
                raise

    def _taken(self, message: dict[str, object]) -> bytes:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece = message["body"]
        assert isinstance(piece, bytes)
        exchange = self._exchange
        exchange.body_bytes += len(piece)
        if exchange.body_bytes > self._limit:
            raise TooLargeError(f"The body is over {self._limit} bytes.")
        exchange.body_is_read = not message["more_body"]
        return piece

    def _allow(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)
