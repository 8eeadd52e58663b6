"""What goes from one side of the gateway to the other: addresses and headers (RFC 9110 sections 7.6.1 and 7.6.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from alta_gateway.answers import SECURITY_HEADERS, RawHeaders

VIA = b"1.1 alta-gateway"

Network = IPv4Network | IPv6Network

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Set by the gateway, or of no business of the services.
_NOT_FORWARDED = _HOP_BY_HOP | {
    b"baggage",
    b"expect",
    b"forwarded",
    b"host",
    b"http2-settings",
    b"traceparent",
    b"tracestate",
    b"via",
    b"x-real-ip",
    b"x-request-id",
}
_CLAIMED = (b"x-user-", b"x-internal-", b"x-forwarded-")
_NOT_RETURNED = (
    _HOP_BY_HOP
    | {b"date", b"server", b"traceparent", b"via", b"x-powered-by", b"x-request-id"}
    | {name for name, _ in SECURITY_HEADERS if name != b"cache-control"}
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request really came from."""

    address: str
    scheme: str
    host: str


def origin_of(scope: Any, headers: dict[bytes, bytes], trusted: Sequence[Network]) -> Origin:
    """Return the origin of a request; what headers claim counts only if they come from a trusted network."""
    peer: str = scope["client"][0] if scope.get("client") else ""
    host = headers.get(b"host", b"").decode("latin-1")
    scheme: str = scope["scheme"]
    if not trusted or not _is_in(_address(peer), trusted):
        return Origin(peer, scheme, host)
    claimed = headers.get(b"x-forwarded-proto", b"").decode("latin-1").strip()
    return Origin(
        _client(peer, headers.get(b"x-forwarded-for", b"").decode("latin-1"), trusted),
        claimed if claimed in ("http", "https") else scheme,
        headers.get(b"x-forwarded-host", b"").decode("latin-1") or host,
    )


def _client(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Walk the chain from the right; the first address that is not ours to trust is the client's."""
    client = peer
    for claimed in reversed(forwarded_for.split(",")):
        address = _address(claimed.strip())
        if address is None:
            break
        client = str(address)
        if not _is_in(address, trusted):
            break
    return client


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_in(address: IPv4Address | IPv6Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _named_by_connection(headers: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
    values = [value for name, value in headers if name == b"connection"]
    return {token.strip().lower() for value in values for token in value.split(b",")} if values else set()


def request_headers(headers: RawHeaders, origin: Origin, request_id: str) -> list[tuple[str, str]]:
    """Return the headers that a service gets. Content-Length stays: the body is passed on as it is."""
    dropped = _named_by_connection(headers)
    kept = [
        (name.decode("ascii"), _text(value))
        for name, value in headers
        if name not in _NOT_FORWARDED and name not in dropped and not name.startswith(_CLAIMED)
    ]
    kept += [
        ("x-request-id", request_id),
        ("x-forwarded-for", origin.address),
        ("x-forwarded-proto", origin.scheme),
        ("x-forwarded-host", origin.host),
        ("via", VIA.decode()),
    ]
    return kept


def response_headers(headers: Sequence[tuple[bytes, bytes]]) -> RawHeaders:
    """Return the headers of a service's answer that a client gets."""
    dropped = _named_by_connection([(name.lower(), value) for name, value in headers])
    kept = [(name.lower(), value) for name, value in headers]
    kept = [pair for pair in kept if pair[0] not in _NOT_RETURNED and pair[0] not in dropped]
    kept.append((b"via", VIA))
    return kept


def _text(value: bytes) -> str:
    # The client library writes UTF-8: what is not valid UTF-8 is passed on as the Latin-1 it must be.
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
