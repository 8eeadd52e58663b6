"""What becomes of a message whose handler failed: another try later, or the dead letters at once."""

from collections.abc import Callable
from enum import StrEnum

from pydantic import ValidationError

from alta_common import errors


class PermanentError(errors.AltaError):
    """It cannot get better by trying again: the message goes to the dead letters at once."""

    code = "permanent_failure"


class UnknownEventError(PermanentError):
    """The queue got an event that nobody handles here."""

    code = "unknown_event"


class UnreadableMessageError(PermanentError):
    """The body is not an event's envelope."""

    code = "unreadable_message"


class UnfinishedError(errors.AltaError):
    """Not a failure: a part of the work is done and kept, and another delivery is to go on from there.

    For work that takes longer than the broker lets a message wait for its acknowledgement. Whoever raises it sees to
    it that the work ends some time.
    """

    code = "unfinished"


class Fate(StrEnum):
    """What to do with a message that failed."""

    RETRY = "retry"
    DEAD = "dead"


# Kinds that say that something about the message or the world will not change by itself.
_PERMANENT: tuple[type[Exception], ...] = (
    PermanentError,
    ValidationError,
    errors.InvalidError,
    errors.ForbiddenError,
    errors.UnauthenticatedError,
    errors.TooLargeError,
    errors.UnsupportedMediaTypeError,
)

Classify = Callable[[Exception], Fate]


def fate_of(error: Exception) -> Fate:
    """Return what an error means for its message.

    Not found, conflict and stale are retried: events may arrive out of order, and what they speak of may come yet. So
    is everything that we do not know.
    """
    return Fate.DEAD if isinstance(error, _PERMANENT) else Fate.RETRY


def code_of(error: Exception) -> str:
    """Return a stable name for an error, for headers and logs."""
    return error.code if isinstance(error, errors.AltaError) else type(error).__name__
