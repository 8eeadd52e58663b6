"""Failures that only the edge of this service knows, and the status of those that are told apart here."""

from alta_common.errors import InvalidError
from alta_common.http.problems import PROBLEM_OF
from alta_projects.application.uploads import EmptyFileError


class MalformedUploadError(InvalidError):
    """The body is not the multipart form that its head announces (RFC 7578)."""

    code = "malformed_multipart"


class NotAcceptableError(InvalidError):
    """What there is, is of no media type that the client takes (RFC 9110, 15.5.7)."""

    code = "not_acceptable"


def install_statuses() -> None:
    """Answer with 400 what cannot be read at all, as for JSON that is none; 422 stays for what can be read."""
    PROBLEM_OF[NotAcceptableError] = 406
    for error in (MalformedUploadError, EmptyFileError):
        PROBLEM_OF[error] = 400
