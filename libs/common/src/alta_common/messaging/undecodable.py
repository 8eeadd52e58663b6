"""Messages whose properties the client library cannot decode.

It reads them where it reads frames, and strictly: a timestamp in microseconds, a `type` in Latin-1, or tables in tables
in tables, hundreds of them, raise there. That ends the connection, and with it everything that is being handled; and
again, whenever the broker delivers the message anew. A message that nobody can read must not be more than that: one
message that nobody can read.
"""

from collections.abc import Callable
from typing import Any

from pamqp import decode
from pamqp.header import ContentHeader

UNDECODABLE = "x-undecodable"
"""The header of a message whose properties could not be decoded; it says why. Copies do not keep it."""

_MAX_REASON = 200

Read = Callable[[bytes], tuple[int, Any]]
"""Reads what stands at the beginning of the bytes; returns how many bytes that took, and what it was."""

_unmarshal_strictly = ContentHeader.unmarshal
_strictly: dict[str, Read] = {kind: decode.METHODS[kind] for kind in ("shortstr", "timestamp", "table")}
_damage: list[str] = []


def tolerate_undecodable_properties() -> None:
    """Let such messages arrive, in this process and from now on: without what cannot be read, and with `UNDECODABLE`.

    Call it where a process that consumes is put together; again does no harm.
    """
    # A queue's name or a routing key may be as unreadable as a property; both are short texts.
    decode.METHODS["shortstr"] = _tolerant("shortstr", _short_text)
    decode.METHODS["timestamp"] = _tolerant("timestamp", lambda _: (8, None))
    decode.METHODS["table"] = _tolerant("table", lambda value: (int.from_bytes(value[:4], "big") + 4, {}))
    ContentHeader.unmarshal = _unmarshal  # type: ignore[method-assign]


def _tolerant(kind: str, otherwise: Read) -> Read:
    def read(value: bytes) -> tuple[int, Any]:
        try:
            return _strictly[kind](value)
        except (ValueError, OverflowError, OSError, RecursionError) as error:
            _damage.append(str(error))
            return otherwise(value)

    return read


def _short_text(value: bytes) -> tuple[int, str]:
    size = value[0] + 1
    # No longer than it was, so that a copy can be written.
    return size, value[1:size].decode("ascii", "replace").replace("\ufffd", "?")


def _unmarshal(self: ContentHeader, data: bytes) -> None:
    _damage.clear()
    _unmarshal_strictly(self, data)
    if _damage:
        self.properties.headers = {**(self.properties.headers or {}), UNDECODABLE: "; ".join(_damage)[:_MAX_REASON]}
