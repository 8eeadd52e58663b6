"""Whose account a sign-in is about: read from a body that is small enough to hold."""

from urllib.parse import parse_qs

import orjson

from alta_common.errors import TooLargeError
from alta_gateway.exchange import ClientGoneError, Exchange
from alta_gateway.limits.policies import account_key


async def read_body(exchange: Exchange, limit: int) -> bytes:
    """Return the whole body. Raises `TooLargeError` above `limit` bytes."""
    body = bytearray()
    while not exchange.body_is_read:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body += message["body"]
        exchange.body_bytes = len(body)
        if len(body) > limit:
            raise TooLargeError(f"The body is over {limit} bytes.")
        exchange.body_is_read = not message["more_body"]
    return bytes(body)


def account_of(body: bytes, content_type: str, field: str) -> str | None:
    """Return the key of the account that a body names; None where it names none, which the service will refuse."""
    try:
        if content_type.startswith("application/x-www-form-urlencoded"):
            named: object = parse_qs(body.decode(), max_num_fields=50).get(field, [None])[0]
        else:
            parsed = orjson.loads(body)
            named = parsed.get(field) if isinstance(parsed, dict) else None
    except ValueError:
        return None
    return account_key(named) if isinstance(named, str) and named else None
