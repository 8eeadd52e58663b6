"""Why something cannot be made of an original."""

from alta_common.errors import ConflictError, NotFoundError


class FormatNotAvailableError(ConflictError):
    """The result cannot be had in this format; others can."""

    code = "format_not_available"


class PageNotShownError(ConflictError):
    """The page cannot be made into an image."""

    code = "page_not_available"


class NoSuchPageError(NotFoundError):
    """The document has fewer pages."""

    code = "no_such_page"


class UnreadableOriginalError(Exception):
    """The original cannot be opened or decoded; the message says why in words for its owner."""
