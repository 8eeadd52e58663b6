from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Response

from alta_common.http.idempotency import StoredAnswer
from alta_common.http.principal import CurrentPrincipal
from alta_common.http.replay import IdempotencyKey, replay
from alta_identity.api.deps import Accounts, Sessions, UserAgent, never_cached
from alta_identity.api.schemas import (
    LoginIn,
    LogoutIn,
    RefreshIn,
    RegisterIn,
    ResendVerificationIn,
    TokensOut,
    VerificationOut,
    VerifyEmailIn,
)
from alta_identity.application.once import Once

router = APIRouter(prefix="/v1/auth", tags=["Authentication"], dependencies=[Depends(never_cached)])


Responses = dict[int | str, dict[str, Any]]


def _problem(description: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content}


_BUSY: Responses = {503: _problem("Too many passwords wait to be hashed, or Redis does not answer; see `Retry-After`.")}


@router.post(
    "/register",
    status_code=HTTPStatus.ACCEPTED,
    response_model=VerificationOut,
    summary="Register an account",
    responses={409: _problem("The same request is still running (`idempotency_key_in_progress`)."), **_BUSY},
)
async def register(
    body: RegisterIn, accounts: Accounts, idempotency_key: IdempotencyKey = None
) -> VerificationOut | Response:
    """Register an address. The answer is the same whether or not it has an account already.

    A mail goes to the address: with a token that proves it, or, when it has an account, with word of the attempt.
    A password that is too easy to guess is refused with the reason (422 `password_refused`).
    """
    answer = VerificationOut()
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    stored = StoredAnswer(HTTPStatus.ACCEPTED, headers, answer.model_dump_json().encode())
    replayed = await accounts.register(
        body.email, body.password.get_secret_value(), body.full_name, Once(idempotency_key, stored)
    )
    return answer if replayed is None else replay(replayed)


@router.post(
    "/verify-email",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Prove an address",
)
async def verify_email(body: VerifyEmailIn, accounts: Accounts) -> None:
    """Spend the token of a verification mail. From now on the account can sign in.

    A token that is unknown, used before, expired, or replaced by a newer one is refused (422 `invalid_token`).
    """
    await accounts.verify_email(body.token)


@router.post("/resend-verification", status_code=HTTPStatus.ACCEPTED, summary="Send the verification mail again")
async def resend_verification(body: ResendVerificationIn, accounts: Accounts) -> VerificationOut:
    """Send a new verification mail where one is due; earlier ones stop working. The answer is always the same."""
    await accounts.resend_verification(body.email)
    return VerificationOut()


@router.post(
    "/login",
    summary="Sign in",
    responses={401: _problem("`invalid_credentials`, for every kind of failure."), **_BUSY},
)
async def login(body: LoginIn, sessions: Sessions, user_agent: UserAgent = None) -> TokensOut:
    """Open a session and return its first tokens."""
    return TokensOut.of(await sessions.sign_in(body.email, body.password.get_secret_value(), user_agent))


@router.post(
    "/refresh",
    summary="Renew the tokens of a session",
    responses={401: _problem("`invalid_refresh_token`; a token that was used before also ends its session.")},
)
async def refresh(body: RefreshIn, sessions: Sessions) -> TokensOut:
    """Trade a refresh token for new tokens. It works once; within 30 s it gives the same successor again."""
    return TokensOut.of(await sessions.refresh(body.refresh_token))


@router.post(
    "/logout",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Sign out",
    responses={
        401: _problem("No access token, or one that is not valid."),
        503: _problem("The session has ended, but the gateway could not be told; try again after `Retry-After`."),
    },
)
async def logout(principal: CurrentPrincipal, sessions: Sessions, body: LogoutIn | None = None) -> None:
    """End the session of the access token. The gateway refuses its access tokens from now on."""
    await sessions.sign_out(principal, body.refresh_token if body else None)
