"""Failures that only the edge of this service knows, and the status of those that are told apart here."""

from alta_common.errors import InvalidError
from alta_common.http.problems import PROBLEM_OF
from alta_projects.application.uploads import EmptyFileError


class MalformedUploadError(InvalidError):
    """The body is not the multipart form that its head announces (RFC 7578)."""

    code = "malformed_multipart"


def install_statuses() -> None:
    """Answer with 400 what cannot be read at all, as for JSON that is none; 422 stays for what can be read."""
    for error in (MalformedUploadError, EmptyFileError):
        PROBLEM_OF[error] = 400
