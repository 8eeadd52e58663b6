"""What a limiter says about a request."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alta_common.errors import RateLimitedError
from alta_gateway.answers import RawHeaders
from alta_gateway.limits.policies import Policy


class TooManyRequestsError(RateLimitedError):
    """The caller asked too often."""

    code = "rate_limited"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a caller stands with one policy; times are microseconds."""

    policy: Policy
    remaining: int
    reset_micros: int
    # Above zero: the request does not fit; it would after this time.
    retry_micros: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, and how its caller stands."""

    is_revoked: bool
    standings: Sequence[Standing]

    @property
    def refused_by(self) -> Standing | None:
        """Return the policy that will refuse for the longest, if any refuses."""
        worst = max(self.standings, key=lambda standing: standing.retry_micros, default=None)
        return worst if worst is not None and worst.retry_micros > 0 else None

    def headers(self) -> RawHeaders:
        """Return `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers)."""
        shown = [standing for standing in self.standings if standing.policy.is_announced]
        if not shown:
            return []
        policies = ", ".join(standing.policy.header for standing in shown)
        limits = ", ".join(
            f'"{standing.policy.name}";r={standing.remaining};t={_seconds(standing.reset_micros)}' for standing in shown
        )
        return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", limits.encode())]

    def error(self, standing: Standing) -> TooManyRequestsError:
        """Return the error that says when to come back."""
        seconds = max(1, _seconds(standing.retry_micros))
        return TooManyRequestsError(f"Too many requests; there is room again in {seconds} s.", seconds)


def _seconds(micros: int) -> int:
    return math.ceil(micros / 1_000_000)
