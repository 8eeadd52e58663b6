"""How the gateway and what it stands in front of are doing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from alta_gateway.answers import Answer, json_answer
from alta_gateway.exchange import Exchange

Check = Callable[[], Awaitable[None]]

_PROBE_SECONDS = 2.0
# However many ask, the services are probed once in this time.
_REMEMBERED_SECONDS = 1.0


class NotReachableError(Exception):
    """A service does not answer, or says that it is unwell."""


class HttpProbe:
    """Asks a service how it is. With `expects_ok` only 200 is good (a readiness URL); else any answer below 500."""

    def __init__(self, session: aiohttp.ClientSession, url: str, *, expects_ok: bool) -> None:
        self._session = session
        self._url = url
        self._expects_ok = expects_ok

    async def __call__(self) -> None:
        """Raise `NotReachableError` when it is not well."""
        try:
            timeout = aiohttp.ClientTimeout(total=_PROBE_SECONDS)
            async with self._session.get(self._url, timeout=timeout, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotReachableError(type(error).__name__) from error
        if status >= 500 or (self._expects_ok and status != 200):  # noqa: PLR2004 - as HTTP has them
            raise NotReachableError(f"answered {status}")


class Once:
    """A check that counts only until it has passed once.

    A service that goes away later must not make the gateway unready: it still serves the others, and every replica
    would be taken out at the same moment.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._has_passed = False

    async def __call__(self) -> None:
        """Raise what the check raises, until it has passed."""
        if not self._has_passed:
            await self._check()
            self._has_passed = True


class Health:
    """The health endpoints. `needed` must each have passed once before traffic is taken; `reported` is only told."""

    def __init__(
        self, version: str, services: Mapping[str, Check], needed: Mapping[str, Check], reported: Mapping[str, Check]
    ) -> None:
        self._version = version
        self._services = dict(services)
        self._needed = {name: Once(check) for name, check in needed.items()}
        self._shown = {**needed, **reported}
        self._is_draining = False
        self._known: dict[str, str] = {}
        self._known_at = -_REMEMBERED_SECONDS
        self._one_at_a_time = asyncio.Lock()

    @property
    def checks(self) -> Mapping[str, Check]:
        """Return what decides about readiness."""
        return self._needed

    def mark_draining(self) -> None:
        """Be unready from now on."""
        self._is_draining = True

    async def overview(self, _exchange: Exchange) -> Answer:
        """`GET /health`: the gateway answers; how are the services?"""
        async with self._one_at_a_time:
            if time.monotonic() - self._known_at >= _REMEMBERED_SECONDS:
                self._known = await _states(self._services)
                self._known_at = time.monotonic()
        services = {name: "ok" if state == "ok" else "unavailable" for name, state in self._known.items()}
        status = "ok" if all(state == "ok" for state in services.values()) else "degraded"
        return json_answer(200, {"status": status, "version": self._version, "services": services})

    async def live(self, _exchange: Exchange) -> Answer:
        """`GET /health/live`: the process runs."""
        return json_answer(200, {"status": "ok"})

    async def ready(self, _exchange: Exchange) -> Answer:
        """`GET /health/ready`: may traffic come?"""
        if self._is_draining:
            return json_answer(503, {"status": "draining", "checks": {}})
        decided, shown = await asyncio.gather(_states(self._needed), _states(self._shown))
        is_ready = all(state == "ok" for state in decided.values())
        return json_answer(200 if is_ready else 503, {"status": "ok" if is_ready else "unready", "checks": shown})


async def _states(checks: Mapping[str, Check]) -> dict[str, str]:
    states = await asyncio.gather(*(_state(check) for check in checks.values()))
    return dict(zip(checks, states, strict=True))


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await check()
    except TimeoutError:
        return "no answer in time"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return str(error) or type(error).__name__
    return "ok"
