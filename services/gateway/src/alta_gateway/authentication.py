"""Who is asking: the access token of a request, verified with identity's keys."""

from typing import Protocol

from alta_common.contracts.principal import Principal
from alta_common.errors import UnauthenticatedError
from alta_common.http.tokens import TokenInvalidError
from alta_gateway.exchange import Exchange

_API_KEY = "alta_live_"


class Verifier(Protocol):
    """Something that knows whose an access token is (`alta_common.http.tokens.TokenVerifier`)."""

    async def verify(self, token: str) -> Principal:
        """Return the principal. Raises `UnauthenticatedError`, or `UnavailableError` without keys."""


class TokenRevokedError(UnauthenticatedError):
    """The session that the token belongs to has been ended."""

    code = "token_revoked"


async def authenticate(exchange: Exchange, verifier: Verifier) -> Principal:
    """Return who asks. Raises `UnauthenticatedError` when no valid access token was sent."""
    sent = exchange.header(b"authorization")
    if sent is None:
        raise UnauthenticatedError("This needs an access token: Authorization: Bearer ….")
    scheme, _, token = sent.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError("The only authentication scheme here is Bearer.")
    if token.startswith(_API_KEY):
        raise TokenInvalidError("API keys are not accepted yet; sign in for an access token.")
    return await verifier.verify(token)
