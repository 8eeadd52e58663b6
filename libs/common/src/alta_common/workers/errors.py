"""What can go wrong between a pool and its workers. A job's own exceptions arrive as they were raised."""

from alta_common.errors import AltaError, UnavailableError


class WorkerStartError(AltaError):
    """A worker process could not be started or warmed up: a missing model, too little memory."""

    code = "worker_start_failed"


class WorkerCrashedError(UnavailableError):
    """The worker process ended in the middle of a job: killed, out of memory, or a fault in native code."""

    code = "worker_crashed"


class WorkerMemoryError(WorkerCrashedError):
    """The job needed more memory than a worker may use."""

    code = "out_of_memory"


class WorkerTimeoutError(UnavailableError):
    """The job took longer than it may, or showed no progress for too long; its worker process was killed."""

    code = "timeout"


class WorkerFailedError(AltaError):
    """The job raised an exception that cannot travel between processes; the message holds its traceback."""

    code = "internal_error"
