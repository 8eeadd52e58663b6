"""What becomes of a document whose worker process broke down."""

from alta_common.engines.port import EngineError
from alta_common.workers.errors import WorkerCrashedError, WorkerMemoryError


def crashed_twice(error: WorkerCrashedError, doing: str) -> EngineError:
    """Return what to raise when a worker has crashed at the same thing again: once may be bad luck, twice is not."""
    if isinstance(error, WorkerMemoryError):
        return EngineError("out_of_memory", f"This document needs more memory than is allowed: {doing} failed twice.")
    return EngineError("engine_crashed", f"Our reader broke down twice at this document, {doing}.", retryable=True)
