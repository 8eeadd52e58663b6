"""Which limits a request is counted against, and for whom."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from alta_common.contracts.principal import Principal
from alta_gateway.routing import Kind, Route
from alta_gateway.settings import LimitSettings, Rate

# What guards one account stays as it is set, however wide the rest is made.
_OF_ONE_ACCOUNT = frozenset(
    {
        "limit_login_account",
        "limit_login_account_address",
        "limit_second_factor",
        "limit_second_factor_day",
        "limit_reset",
        "limit_resend",
    }
)
COST_OF = {Kind.AUTH: 1, Kind.READ: 1, Kind.WRITE: 2, Kind.SEARCH: 3, Kind.UPLOAD: 10}


@dataclass(frozen=True, slots=True)
class Policy:
    """A named limit. One that counts everybody together is not announced: it says nothing about the caller."""

    name: str
    rate: Rate
    is_announced: bool = True

    @property
    def interval_micros(self) -> int:
        """Return the time that one unit takes (GCRA's emission interval)."""
        return max(1, self.rate.seconds * 1_000_000 // self.rate.units)

    @property
    def header(self) -> str:
        """Return the policy as an item of `RateLimit-Policy`."""
        return f'"{self.name}";q={self.rate.units};w={self.rate.seconds}'


@dataclass(frozen=True, slots=True)
class Charge:
    """So many units of a policy, on somebody's account."""

    policy: Policy
    subject: str
    cost: int

    @property
    def key(self) -> str:
        """Return the name that the count is kept under."""
        return f"gcra:{self.policy.name}:{self.subject}"


class Policies:
    """All limits, as set."""

    def __init__(self, settings: LimitSettings) -> None:
        factor = settings.limits_factor
        rates = {
            name.removeprefix("limit_"): value.times(1.0 if name in _OF_ONE_ACCOUNT else factor)
            for name, value in settings
            if name.startswith("limit_") and isinstance(value, Rate)
        }
        self._of = {name: Policy(name, rate, is_announced=name != "login_total") for name, rate in rates.items()}

    def __getitem__(self, name: str) -> Policy:
        return self._of[name]

    def charges(self, route: Route, address: str, principal: Principal | None, account: str | None) -> Sequence[Charge]:
        """Return what a request costs, and whom."""
        if principal is not None:
            name = "upload" if route.kind is Kind.UPLOAD else "user"
            charges = [Charge(self._of[name], str(principal.user_id), COST_OF[route.kind])]
            return charges + [Charge(self._of[name], str(principal.user_id), 1) for name in route.policies]
        where = network_of(address)
        charges = [Charge(self._of["anonymous"], where, COST_OF[route.kind])]
        for name in route.policies:
            subject = _subject(name, where, account)
            if subject is not None:
                charges.append(Charge(self._of[name], subject, 1))
        return charges


def _subject(policy: str, where: str, account: str | None) -> str | None:
    if policy == "login_total":
        return "all"
    if policy in ("login_address", "refresh"):
        return where
    if account is None:
        return None
    return f"{account}:{where}" if policy == "login_account_address" else account


def network_of(address: str) -> str:
    """Return what stands for a client's address: itself, or its /64 where one client has a whole IPv6 network."""
    if ":" not in address:
        return address
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, 64), strict=False).network_address)


def account_key(name: str) -> str:
    """Return what stands for an account in keys: a digest, the same for every spelling, and no address to read."""
    return hashlib.sha256(name.strip().casefold().encode(errors="surrogatepass")).hexdigest()[:32]
