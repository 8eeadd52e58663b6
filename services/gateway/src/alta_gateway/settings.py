"""The gateway's settings. Every default is that of the edge's specification unless its description says why not.

A rate is written `units/seconds/burst`: so many units in so many seconds, at most `burst` of them at once.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Self

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from alta_common.settings import HttpSettings, RedisSettings, ServiceSettings, Settings, TokenSettings

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rate:
    """So many `units` in `seconds`; `burst` of them may come at once."""

    units: int
    seconds: int
    burst: int

    @classmethod
    def parse(cls, text: object) -> Self:
        """Return the rate that `units/seconds/burst` means. Raises `ValueError` for anything else."""
        if isinstance(text, cls):
            return text
        parts = str(text).split("/")
        if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):  # noqa: PLR2004
            raise ValueError("a rate is three whole numbers above zero: units/seconds/burst, e.g. 300/60/50")
        return cls(*map(int, parts))

    def times(self, factor: float) -> "Rate":
        """Return a rate that is `factor` as generous."""
        return Rate(max(1, round(self.units * factor)), self.seconds, max(1, round(self.burst * factor)))


def _words(text: object) -> object:
    return [word.strip() for word in text.split(",") if word.strip()] if isinstance(text, str) else text


def _networks(text: object) -> object:
    words = _words(text)
    return [ip_network(str(word), strict=False) for word in words] if isinstance(words, list) else words


RateSetting = Annotated[Rate, NoDecode, BeforeValidator(Rate.parse)]
Words = Annotated[list[str], NoDecode, BeforeValidator(_words)]
Networks = Annotated[list[IPv4Network | IPv6Network], NoDecode, BeforeValidator(_networks)]


class ProtocolSettings(Settings):
    """What the sockets put up with."""

    header_seconds: float = Field(10, gt=0, description="A request's head must be whole this long after it began.")
    first_byte_seconds: float = Field(10, gt=0, description="A new connection must send its first byte within this.")
    body_idle_seconds: float = Field(20, gt=0, description="A body may pause this long.")
    upload_body_idle_seconds: float = Field(60, gt=0, description="The body of an upload may pause this long.")
    body_bytes_per_second: int = Field(1024, ge=0, description="A body must come at least this fast on average.")
    body_grace_seconds: float = Field(10, gt=0, description="The speed of a body is looked at after this long.")
    answer_stalled_seconds: float = Field(60, gt=0, description="A client that takes nothing this long is cut off.")
    keep_alive_seconds: int = Field(75, gt=0, description="An idle connection is kept this long.")
    linger_seconds: float = Field(
        30, gt=0, description="After refusing a body, what still comes is thrown away this long so the answer arrives."
    )
    head_max_bytes: int = Field(32 * 1024, ge=1024, description="All headers together; more is 431.")
    head_max_count: int = Field(100, ge=10, description="How many headers; more is 431.")
    target_max_bytes: int = Field(8 * 1024, ge=256, description="The request target; longer is 414.")
    connections_per_address: int = Field(
        64, ge=1, description="Open connections from one address; trusted networks are not counted."
    )
    connections_max: int = Field(2000, ge=1, description="Open connections in all.")
    trusted_networks: Networks = Field(
        default=[], description="Networks of load balancers whose X-Forwarded-* is believed, comma separated."
    )
    allowed_hosts: Words = Field(default=[], description="Host names that are served, comma separated; empty: all.")


class LimitSettings(Settings):
    """How often a caller may ask (GCRA in Redis). Reads cost 1, writes 2, searches 3, uploads 10."""

    limits_factor: float = Field(
        1.0,
        gt=0,
        description="Multiplies the limits of callers and addresses, for development and load tests where everybody is "
        "one address. It never loosens what keeps one account from being guessed or flooded with mail.",
    )
    limit_anonymous: RateSetting = Field(Rate(60, 60, 20), description="Requests without a token, an address.")
    limit_user: RateSetting = Field(Rate(300, 60, 50), description="Requests with a token, a user.")
    limit_upload: RateSetting = Field(
        Rate(600, 60, 600),
        description="Uploads cost 10 each, a user. They count here and not in LIMIT_USER, whose burst of 50 would end "
        "an ordinary batch after five files: here 60 files may come at once, and one a second after that.",
    )
    limit_login_account: RateSetting = Field(Rate(10, 300, 10), description="Sign-ins, an account.")
    limit_login_account_address: RateSetting = Field(
        Rate(10, 300, 10), description="Sign-ins, an account from one address."
    )
    limit_login_address: RateSetting = Field(Rate(30, 300, 30), description="Sign-ins, an address.")
    limit_login_total: RateSetting = Field(Rate(1000, 300, 1000), description="Sign-ins, all together.")
    limit_second_factor: RateSetting = Field(Rate(5, 300, 5), description="Second factor attempts, a user.")
    limit_second_factor_day: RateSetting = Field(Rate(50, 86400, 50), description="The same over a day.")
    limit_reset: RateSetting = Field(Rate(5, 86400, 5), description="Password resets asked for, an account.")
    limit_resend: RateSetting = Field(Rate(3, 21600, 3), description="Verification mails sent again, an account.")
    limit_refresh: RateSetting = Field(Rate(150, 300, 150), description="Token refreshes, an address.")
    redis_timeout_seconds: float = Field(0.02, gt=0, description="How long an ordinary request waits for Redis.")
    redis_patient_timeout_seconds: float = Field(
        0.5,
        gt=0,
        description="How long sign-in and its like wait: they are refused without Redis, so they wait longer.",
    )
    redis_retry_seconds: float = Field(1.0, gt=0, description="Ordinary requests ask Redis again this long after.")
    redis_pool_size: int = Field(50, ge=1, description="Connections to Redis; requests wait for a free one.")
    gateway_workers: int = Field(
        1, ge=1, description="Gateways that share the load: without Redis each allows its part of the limits."
    )


class UpstreamSettings(Settings):
    """Where requests go, and how long they may take."""

    identity_url: str = Field("http://localhost:8101", description="Identity's API.")
    projects_url: str = Field("http://localhost:8102", description="Projects' API.")
    outbox_admin_url: str = Field(
        "",
        description="The API of operations (outboxes, queues, dead letters); empty: it is not served here, and "
        "operators use the command line.",
    )
    upstream_connect_seconds: float = Field(2, gt=0, description="Connecting to a service.")
    upstream_first_byte_seconds: float = Field(15, gt=0, description="Until a service begins to answer.")
    upstream_long_first_byte_seconds: float = Field(
        75, gt=0, description="The same after an upload, and with ?wait= (up to 60 s)."
    )
    upstream_idle_seconds: float = Field(30, gt=0, description="A service's answer may pause this long.")
    upstream_stream_idle_seconds: float = Field(60, gt=0, description="The same for uploads, downloads and SSE.")
    upstream_total_seconds: float = Field(60, gt=0, description="An ordinary request in all.")
    upstream_keep_alive_seconds: float = Field(
        15, gt=0, description="Idle connections to services; must be shorter than theirs (75 s)."
    )
    upstream_concurrency: int = Field(
        200, ge=4, description="Requests that run at one service; reads stop at 95 %, writes at 85 %, uploads at 70 %."
    )
    upstream_waiting: int = Field(1000, ge=1, description="Long polls and event streams at one service.")
    retry_share: float = Field(0.2, ge=0, le=1, description="Retries may be this share of the traffic.")
    breaker_requests: int = Field(20, ge=1, description="A service is judged after this many requests in the window.")
    breaker_error_share: float = Field(0.5, gt=0, le=1, description="Share of errors that opens the circuit.")
    breaker_window_seconds: int = Field(10, ge=1, description="How far back errors are counted.")
    breaker_open_seconds: float = Field(5, gt=0, description="How long an open circuit lets nothing through.")
    json_max_bytes: int = Field(MIB, ge=1024, description="A JSON body.")
    document_max_bytes: int = Field(100 * MIB, ge=1024, description="A document.")
    voice_max_bytes: int = Field(1024 * MIB, ge=1024, description="A recording.")
    multipart_overhead_bytes: int = Field(MIB, ge=1024, description="What a multipart body may add to its file.")


class GatewaySettings(
    ServiceSettings, HttpSettings, RedisSettings, TokenSettings, ProtocolSettings, LimitSettings, UpstreamSettings
):
    """Everything that the gateway reads from the environment."""

    public_url: str = Field("http://localhost:8000", description="Where clients find the gateway.")
    cors_origins: Words = Field(default=[], description="Origins that browsers may call from, exact, comma separated.")
    openapi_seconds: float = Field(
        30, gt=0, description="The services' OpenAPI documents are fetched again after this."
    )
    health_urls: Words = Field(
        default=[],
        description="What /health reports beside the API services: name=readiness URL, comma separated; "
        "identity=… and projects=… replace the default probes of these.",
    )
