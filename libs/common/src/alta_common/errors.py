"""The kinds of failure. HTTP and messaging each have one table that maps them to their own terms.

A subclass names its `code`: stable, snake_case, part of the API. The message is a sentence for the person who
reads it; it never holds a secret.
"""

from typing import ClassVar


class AltaError(Exception):
    """Something that we know how to speak about. Raise one of its kinds."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFoundError(AltaError):
    """There is no such thing, or the caller may not know that there is."""

    code = "not_found"


class ConflictError(AltaError):
    """The thing is in a state that does not allow this."""

    code = "conflict"


class StaleError(AltaError):
    """The thing has changed since the caller last read it (`If-Match` did not match)."""

    code = "precondition_failed"


class ForbiddenError(AltaError):
    """The caller may see the thing, but not do this with it."""

    code = "forbidden"


class UnauthenticatedError(AltaError):
    """We do not know who is asking."""

    code = "unauthenticated"


class FieldError:
    """One field of a request that is wrong.

    `pointer` is a JSON Pointer (RFC 6901) into the body, or `/query/name`, `/path/name`, `/header/name`.
    """

    def __init__(self, pointer: str, detail: str) -> None:
        self.pointer = pointer
        self.detail = detail


class InvalidError(AltaError):
    """What came in cannot be right; `errors` says which fields."""

    code = "invalid_request"

    def __init__(self, detail: str, errors: list[FieldError] | None = None) -> None:
        super().__init__(detail)
        self.errors = errors or []


class TooLargeError(AltaError):
    """More bytes than we take."""

    code = "payload_too_large"


class UnsupportedMediaTypeError(AltaError):
    """The bytes are of a kind that we do not read."""

    code = "unsupported_media_type"


class RateLimitedError(AltaError):
    """Too often; `retry_after_seconds` says when again."""

    code = "rate_limited"

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(AltaError):
    """A part that we need does not answer now; trying again later may work."""

    code = "unavailable"

    def __init__(self, detail: str, retry_after_seconds: int = 5) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds
