"""Who is asking, for FastAPI routes: `async def route(principal: CurrentPrincipal)`."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from alta_common.contracts.principal import Principal
from alta_common.errors import ForbiddenError, UnauthenticatedError
from alta_common.http.jwks import HttpJwks, JwksSource, StaticJwks
from alta_common.http.tokens import TokenExpiredError, TokenInvalidError, TokenVerifier

__all__ = [
    "AdminPrincipal",
    "CurrentPrincipal",
    "HttpJwks",
    "JwksSource",
    "Principal",
    "StaticJwks",
    "TokenExpiredError",
    "TokenInvalidError",
    "TokenVerifier",
    "current_principal",
]

_bearer = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="An access token, or an API key at the gateway."
)


async def current_principal(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Principal:
    """Return the caller. Raises `UnauthenticatedError` without a token, and what the verifier raises with a bad one."""
    if credentials is None:
        raise UnauthenticatedError("Send an access token: Authorization: Bearer <token>.")
    verifier: TokenVerifier = request.app.state.token_verifier
    principal = await verifier.verify(credentials.credentials)
    request.state.principal = principal
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


async def _admin(principal: CurrentPrincipal) -> Principal:
    if not principal.is_admin:
        raise ForbiddenError("Only administrators of the platform may do this.")
    return principal


AdminPrincipal = Annotated[Principal, Depends(_admin)]
