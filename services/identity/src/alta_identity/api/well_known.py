from fastapi import APIRouter, Response

from alta_identity.api.deps import AllServices
from alta_identity.api.schemas import AuthorizationServerOut, JwksOut

router = APIRouter(prefix="/.well-known", tags=["Keys"])

# Keys are published a day before they sign, so a copy that is five minutes old misses nothing.
_CACHE_CONTROL = "public, max-age=300"


@router.get("/jwks.json", summary="Public keys of access tokens")
async def jwks(services: AllServices, response: Response) -> JwksOut:
    """Return the keys that access tokens are signed with, or soon will be (RFC 7517)."""
    response.headers["cache-control"] = _CACHE_CONTROL
    return JwksOut.model_validate(services.ring.jwks())


@router.get("/oauth-authorization-server", summary="Authorization server metadata")
async def authorization_server(services: AllServices, response: Response) -> AuthorizationServerOut:
    """Say what there is (RFC 8414): keys, and no OAuth flow yet; people sign in at /v1/auth/login."""
    response.headers["cache-control"] = _CACHE_CONTROL
    return AuthorizationServerOut(
        issuer=services.issuer,
        jwks_uri=f"{services.public_url}/.well-known/jwks.json",
        # Empty lists, not absent ones: left out, the RFC has clients assume the authorization code grant.
        response_types_supported=[],
        grant_types_supported=[],
        service_documentation=f"{services.public_url}/docs",
    )
