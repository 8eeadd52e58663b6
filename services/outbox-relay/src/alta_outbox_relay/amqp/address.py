"""Where the broker is and how to speak to it, as an AMQP URL says it. The query parameters are those of aio-pika."""

import base64
import ssl
from dataclasses import dataclass, field
from typing import Self

from yarl import URL

_PORTS = {"amqp": 5672, "amqps": 5671}
_MECHANISMS = frozenset({"PLAIN", "EXTERNAL"})
_CONNECT_SECONDS = 10.0
_HEARTBEAT_SECONDS = 60
_LONGEST_HEARTBEAT = 65_535


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust, and who we are."""

    cafile: str | None = None
    capath: str | None = None
    cadata: bytes | None = None
    certfile: str | None = None
    keyfile: str | None = None
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Return the context of a connection. Reads files."""
        context = ssl.create_default_context(
            ssl.Purpose.SERVER_AUTH, cafile=self.cafile, capath=self.capath, cadata=self.cadata
        )
        if self.certfile:
            context.load_cert_chain(self.certfile, self.keyfile)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class Address:
    """A broker's address, taken apart."""

    host: str
    port: int
    vhost: str
    user: str
    password: str = field(repr=False)
    mechanism: str
    name: str
    heartbeat: int
    """Seconds; 0 for none."""
    timeout: float
    """Seconds that connecting may take, with everything that belongs to it."""
    tls: Tls | None

    @classmethod
    def parse(cls, url: str, name: str) -> Self:
        """Take an `amqp://` or `amqps://` URL apart; `name` is what the broker shows unless the URL says another one.

        Raises `ValueError` naming what is wrong with it.
        """
        parsed = URL(url)
        if parsed.scheme not in _PORTS or not parsed.host:
            raise ValueError("an AMQP URL begins with amqp:// or amqps:// and a host")
        query = parsed.query
        mechanism = query.get("auth", "plain").upper()
        if mechanism not in _MECHANISMS:
            raise ValueError(f"auth={mechanism} is none of {', '.join(sorted(_MECHANISMS))}")
        return cls(
            host=parsed.host,
            port=parsed.port or _PORTS[parsed.scheme],
            # yarl leaves an escaped slash as it is.
            vhost=parsed.path[1:].replace("%2F", "/") or "/",
            user=parsed.user or "guest",
            password=parsed.password or "guest",
            mechanism=mechanism,
            name=query.get("name", name),
            heartbeat=int(_number("heartbeat", query.get("heartbeat", _HEARTBEAT_SECONDS), _LONGEST_HEARTBEAT)),
            timeout=_number("timeout", query.get("timeout", _CONNECT_SECONDS)) or _CONNECT_SECONDS,
            tls=_tls(parsed) if parsed.scheme == "amqps" else None,
        )


def _number(name: str, value: str | float, most: float = float("inf")) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise ValueError(f"{name}={value} is not a number of seconds")
    return number


def _tls(url: URL) -> Tls:
    query = url.query
    cadata = query.get("cadata")
    return Tls(
        cafile=query.get("cafile"),
        capath=query.get("capath"),
        cadata=base64.b64decode(cadata) if cadata else None,
        certfile=query.get("certfile"),
        keyfile=query.get("keyfile"),
        verify=query.get("no_verify_ssl", "0") == "0",
    )
