"""What an item's state does not allow."""

from alta_common.errors import ConflictError


class ResultNotReadyError(ConflictError):
    """There is no result yet."""

    code = "result_not_ready"


class ProcessingFailedError(ConflictError):
    """There is no result, and there will be none from this run."""

    code = "processing_failed"


class ProcessingCancelledError(ConflictError):
    """There is no result, because the run was cancelled."""

    code = "processing_cancelled"


class AlreadyFinishedError(ConflictError):
    """There is nothing left to cancel."""

    code = "already_finished"


class StillProcessingError(ConflictError):
    """A run must end, or be cancelled, before the next one."""

    code = "still_processing"
