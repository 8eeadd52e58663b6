from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from alta_identity.application.accounts import AccountService
from alta_identity.application.sessions import SessionService
from alta_identity.security.keys import KeyRing


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with; `app.state.services` holds it."""

    accounts: AccountService
    sessions: SessionService
    ring: KeyRing
    issuer: str
    public_url: str


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _accounts(request: Request) -> AccountService:
    return _services(request).accounts


def _sessions(request: Request) -> SessionService:
    return _services(request).sessions


def never_cached(response: Response) -> None:
    """Keep tokens out of every cache (RFC 6749, section 5.1)."""
    response.headers["cache-control"] = "no-store"


AllServices = Annotated[Services, Depends(_services)]
Accounts = Annotated[AccountService, Depends(_accounts)]
Sessions = Annotated[SessionService, Depends(_sessions)]
UserAgent = Annotated[str | None, Header(alias="User-Agent", include_in_schema=False)]
