"""Refusals that identity names."""

from alta_common.errors import ConflictError, InvalidError, UnauthenticatedError


class InvalidCredentialsError(UnauthenticatedError):
    """Sign-in failed; which part was wrong, or whether the account exists, is not said."""

    code = "invalid_credentials"


class InvalidRefreshTokenError(UnauthenticatedError):
    """The refresh token is unknown, expired, used before, or its session has ended."""

    code = "invalid_refresh_token"


class TokenRevokedError(UnauthenticatedError):
    """The access token is genuine, but its session has ended or its account may no longer sign in."""

    code = "token_revoked"


class InvalidTokenError(InvalidError):
    """A token from a mail is unknown, expired or used before."""

    code = "invalid_token"


class PasswordRefusedError(InvalidError):
    """The password would be too easy to guess."""

    code = "password_refused"


class AlreadyVerifiedError(ConflictError):
    """The address of the account was proven before."""

    code = "already_verified"
