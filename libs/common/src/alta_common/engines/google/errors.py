"""What Google's errors mean to us: the file's fault, the operator's, or a moment's.

The codes are those of gRPC; see https://cloud.google.com/apis/design/errors and `retry.if_transient_error`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import grpc
import structlog
from google.api_core.exceptions import GoogleAPICallError, from_grpc_status

from alta_common.engines.port import EngineError, InputError
from alta_common.errors import UnavailableError

log = structlog.get_logger()

Blame = Literal["input", "operator", "moment"]

_INPUT = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE}
_OPERATOR = {
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.ALREADY_EXISTS,
}
_LONGEST_MESSAGE = 300
_TOO_LARGE = re.compile(r"larger than max", re.IGNORECASE)
_OUR_REQUEST = re.compile(
    # The first is all that is said when the region or the processor of a request is wrong.
    r"^Request contains an invalid argument\.?$|location|region|endpoint|resource name|processor|recognizer",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class InputFault:
    """How Google words a fault of the file, and what we call it."""

    pattern: re.Pattern[str]
    code: str
    detail: str

    @classmethod
    def of(cls, pattern: str, code: str, detail: str) -> "InputFault":
        """Return the fault whose message matches `pattern`, in any case."""
        return cls(re.compile(pattern, re.IGNORECASE), code, detail)


@dataclass(frozen=True)
class OperatorFault:
    """How Google words what it minds about the way in which it is asked, and not about the file."""

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, pattern: str) -> "OperatorFault":
        """Return the fault whose message matches `pattern`, in any case."""
        return cls(re.compile(pattern, re.IGNORECASE))


Fault = InputFault | OperatorFault


def blame_for(error: GoogleAPICallError, faults: Sequence[Fault] = ()) -> Blame:
    """Return whom an error speaks of; only what is nobody's fault goes away by trying again."""
    status = error.grpc_status_code
    if status in _INPUT:
        fault = _fault_of(error, faults)
        if fault is None:
            return "operator" if _OUR_REQUEST.search(error.message or "") else "input"
        return "operator" if isinstance(fault, OperatorFault) else "input"
    if status in _OPERATOR:
        return "operator"
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(error.message or ""):
        # No quota, but a message that does not fit: it never will.
        return "input"
    return "moment"


def error_of(code: int, message: str) -> GoogleAPICallError:
    """Return the error that a status (`google.rpc.Status`) inside of an answer stands for."""
    error: GoogleAPICallError = from_grpc_status(code, message)  # type: ignore[no-untyped-call]  # has no types
    return error


def translated(error: GoogleAPICallError, api: str, faults: Sequence[Fault]) -> Exception:
    """Return what to raise for an error of `api`.

    `InputError` for the file's faults; `EngineError` `engine_unavailable`, and an error in the log, for what an
    operator has to put right; `UnavailableError` for the rest, which lets the request come again later.
    """
    blame = blame_for(error, faults)
    if blame == "input":
        return _input_error(error, faults)
    if blame == "operator":
        return refused(api, _name_of(error), error.message or "")
    return UnavailableError(f"{api} did not answer: {_name_of(error)}: {error.message}")


def refused(api: str, status: str, message: str) -> EngineError:
    """Return what to raise for what an operator has to put right."""
    # An alert goes with this event: every file fails until somebody acts.
    log.error("google.refused", api=api, status=status, error=message)
    detail = "The engine is not set up correctly at the moment. It is not your file's fault; please try again later."
    return EngineError("engine_unavailable", detail, retryable=True)


def _input_error(error: GoogleAPICallError, faults: Sequence[Fault]) -> InputError:
    message = error.message or ""
    if _TOO_LARGE.search(message):
        return InputError("file_too_large", "The file, or what is read in it, is larger than the engine takes.")
    fault = _fault_of(error, faults)
    if isinstance(fault, InputFault):
        return InputError(fault.code, fault.detail)
    return InputError("invalid_input", f"The engine refused the file: {message[:_LONGEST_MESSAGE]}")


def _fault_of(error: GoogleAPICallError, faults: Sequence[Fault]) -> Fault | None:
    said = f"{error.reason or ''} {error.message or ''}"
    return next((fault for fault in faults if fault.pattern.search(said)), None)


def _name_of(error: GoogleAPICallError) -> str:
    return error.grpc_status_code.name if error.grpc_status_code else type(error).__name__
