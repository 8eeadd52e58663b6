"""Taking what the broker sends apart: confirms by hand, everything else through `pamqp`."""

from collections.abc import Callable
from struct import Struct
from typing import Any

import pamqp.frame

from alta_outbox_relay.amqp.errors import ProtocolError

_HEAD = Struct(">BHI")
_OVERHEAD = _HEAD.size + 1
_END = 0xCE
_KINDS = frozenset({1, 2, 3, 8})
# A method frame of 13 bytes on channel 1: basic.ack. Its tag, flags and end follow.
_ACK = b"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x50"
_ACK_REST = Struct(">QBB")
_ACK_SIZE = len(_ACK) + _ACK_REST.size
# Before the broker has said how long its frames may be.
_FIRST_LIMIT = 131_072


class FrameReader:
    """Cuts the stream from the broker into frames."""

    def __init__(self, on_ack: Callable[[int, bool], None], on_frame: Callable[[Any], None]) -> None:
        self.limit = _FIRST_LIMIT
        """The longest frame that is taken."""
        self._on_ack = on_ack
        self._on_frame = on_frame
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `ProtocolError`, and whatever `on_ack` and `on_frame` raise."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= _OVERHEAD:
            if data.startswith(_ACK, at):
                if end - at < _ACK_SIZE:
                    break
                tag, flags, last = _ACK_REST.unpack_from(data, at + len(_ACK))
                if last != _END:
                    raise ProtocolError("a frame does not end where it should")
                self._on_ack(tag, bool(flags & 1))
                at += _ACK_SIZE
                continue
            size = self._size(data, at)
            if end - at < size:
                break
            frame = _parse(data[at : at + size])
            at += size
            self._on_frame(frame)
        self._rest = data[at:]

    def _size(self, data: bytes, at: int) -> int:
        kind, _, size = _HEAD.unpack_from(data, at)
        if kind not in _KINDS:
            raise ProtocolError(f"what came is no frame of AMQP 0-9-1: {data[at : at + 8]!r}")
        if size + _OVERHEAD > self.limit:
            raise ProtocolError(f"a frame of {size} bytes, {self.limit - _OVERHEAD} are allowed")
        return int(size) + _OVERHEAD


def _parse(data: bytes) -> Any:
    if data[-1] != _END:
        raise ProtocolError("a frame does not end where it should")
    try:
        return pamqp.frame.unmarshal(data)[2]
    except Exception as error:  # pamqp lets through what its decoders meet: struct, Unicode, recursion, arithmetic
        raise ProtocolError(f"a frame cannot be read: {error!r}") from error
