"""Reading a dead letter, whatever it is: nothing in it is believed, and nothing in it can do harm."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from aio_pika.abc import AbstractIncomingMessage

from alta_common.messaging import envelope as names
from alta_outbox_relay.models.dead_letter import DeadLetter

_PLAIN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# The broker counts each look at a message in these.
_COUNTED = frozenset({"x-delivery-count", "x-acquired-count"})
_MAX_TEXT = 1024
_MAX_HEADERS = 100
_MAX_DEPTH = 4


def dead_letter_of(queue: str, message: AbstractIncomingMessage) -> DeadLetter:
    """Return what a message in the dead queue `queue` says of itself."""
    headers = dict(message.headers or {})
    exchange, routing_key = origin_of(message)
    # Copies that consumers bury carry no `x-death`: where it is, the broker moved the message, and what our own headers
    # say is of an attempt before that.
    death = _last_death(headers)
    attempts = headers.get(names.ATTEMPT)
    return DeadLetter(
        message_id=id_of(message),
        queue=queue,
        event_type=_text(message.type) or _text(headers.get("cloudEvents:type")),
        reason=_text(death.get("reason")) or _text(headers.get(names.REASON)),
        error=_text(headers.get(names.ERROR)),
        failed_at=_moment(death.get("time")) or _moment(headers.get(names.FAILED_AT)),
        attempts=attempts if isinstance(attempts, int) else None,
        exchange=exchange,
        routing_key=routing_key,
        correlation_id=_text(message.correlation_id),
        size_bytes=len(message.body),
        content_type=_text(message.content_type),
        headers=_shown_table(headers, 0),
        body=message.body,
    )


def id_of(message: AbstractIncomingMessage) -> str:
    """Return the name that operators call a message by: its own id when that is plain, else a digest of the message."""
    if message.message_id is not None and _PLAIN_ID.fullmatch(message.message_id):
        return message.message_id
    lasting = {name: value for name, value in (message.headers or {}).items() if name not in _COUNTED}
    headers = orjson.dumps(_shown_table(lasting, 0), option=orjson.OPT_SORT_KEYS)
    whole = b"\x00".join((repr(message.message_id).encode(), headers, message.body))
    return "sha256-" + hashlib.sha256(whole).hexdigest()[:32]


def origin_of(message: AbstractIncomingMessage) -> tuple[str, str]:
    """Return exchange and routing key that a message was first published with, as well as they are known."""
    headers = message.headers or {}
    if headers.get(names.ROUTING_KEY):
        return str(headers.get(names.EXCHANGE) or ""), str(headers[names.ROUTING_KEY])
    # The broker itself moved it here; what it noted last in the list happened first.
    death = _first_death(headers)
    keys = death.get("routing-keys")
    if isinstance(keys, list) and keys:
        return str(death.get("exchange") or ""), str(keys[0])
    return message.exchange or "", message.routing_key or ""


def _deaths(headers: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    deaths = headers.get("x-death")
    return [death for death in deaths if isinstance(death, dict)] if isinstance(deaths, list) else []


def _last_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(iter(_deaths(headers)), {})


def _first_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(reversed(_deaths(headers)), {})


def _text(value: Any) -> str | None:
    return value[:_MAX_TEXT] if isinstance(value, str) and value else None


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _shown_table(table: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    """Return headers as JSON values; what is too long, too many or too deep is cut short, and says so."""
    shown = {str(name)[:_MAX_TEXT]: _shown(value, depth) for name, value in list(table.items())[:_MAX_HEADERS]}
    if len(table) > _MAX_HEADERS:
        shown["…"] = f"{len(table) - _MAX_HEADERS} more"
    return shown


def _shown(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return _shown_table(value, depth + 1) if depth < _MAX_DEPTH else "…"
    if isinstance(value, list | tuple):
        if depth >= _MAX_DEPTH:
            return "…"
        more = [f"… {len(value) - _MAX_HEADERS} more"] if len(value) > _MAX_HEADERS else []
        return [_shown(one, depth + 1) for one in value[:_MAX_HEADERS]] + more
    text = value.hex() if isinstance(value, bytes | bytearray) else str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… ({len(text)} characters)"
