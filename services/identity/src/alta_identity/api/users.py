from http import HTTPStatus

from fastapi import APIRouter, Response

from alta_common.http.etags import IfMatch, IfNoneMatch, etag_of, not_modified, require_match
from alta_common.http.principal import CurrentPrincipal
from alta_identity.api.deps import Accounts
from alta_identity.api.schemas import UserChangeIn, UserOut
from alta_identity.models.account import Account

router = APIRouter(prefix="/v1/users", tags=["Users"])

# Only the owner's own cache may keep it, and must ask before using it.
_CACHE_CONTROL = "private, no-cache"


@router.get(
    "/me",
    response_model=UserOut,
    summary="Read the own profile",
    responses={304: {"description": "It is as the client has it."}},
)
async def read_me(
    principal: CurrentPrincipal, accounts: Accounts, response: Response, if_none_match: IfNoneMatch = None
) -> UserOut | Response:
    """Return the caller's account."""
    account = await accounts.profile(principal)
    headers = {"etag": etag_of(account.version), "cache-control": _CACHE_CONTROL}
    if not_modified(if_none_match, headers["etag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    response.headers.update(headers)
    return UserOut.of(account)


@router.patch("/me", summary="Change the own profile")
async def change_me(
    body: UserChangeIn, principal: CurrentPrincipal, accounts: Accounts, response: Response, if_match: IfMatch = None
) -> UserOut:
    """Change the name. `If-Match` names the version that the change is meant for: 412 if it is not the present one."""

    def refuse_stale(account: Account) -> None:
        if if_match is not None:
            require_match(if_match, etag_of(account.version))

    account = await accounts.rename(principal, body.full_name, refuse_stale)
    response.headers.update({"etag": etag_of(account.version), "cache-control": _CACHE_CONTROL})
    return UserOut.of(account)
