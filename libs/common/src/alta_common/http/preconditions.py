"""The one kind of failure that only HTTP has."""

from alta_common.errors import AltaError


class PreconditionRequiredError(AltaError):
    """The request must say which version of the thing it means to change (`If-Match`; RFC 6585 section 3)."""

    code = "precondition_required"
