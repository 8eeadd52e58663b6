"""Closing a connection so that the client can still read the last answer."""

import asyncio
from collections.abc import Callable


class AnswerTransport:
    """What an answer is written to: the transport, except that how it is closed is decided elsewhere.

    A socket that is closed while the client still sends answers with a reset, and a reset throws away what the client
    has not read yet: the very answer that says why its body is not wanted.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close
