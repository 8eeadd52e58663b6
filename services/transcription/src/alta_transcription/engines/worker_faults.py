"""What becomes of a recording whose worker process failed."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from alta_common.engines.port import EngineError
from alta_common.errors import AltaError
from alta_common.workers.errors import WorkerCrashedError, WorkerFailedError, WorkerMemoryError, WorkerTimeoutError

log = structlog.get_logger()


@contextmanager
def worker_faults(engine: str) -> Iterator[None]:
    """Raise what workers raise inside the block as `EngineError`; the recording's own and our own errors pass."""
    try:
        yield
    except WorkerMemoryError as error:
        raise EngineError("out_of_memory", "The recording needs more memory than is allowed.") from error
    except WorkerCrashedError as error:
        raise EngineError("engine_crashed", "Our engine broke down at this recording.", retryable=True) from error
    except WorkerTimeoutError as error:
        raise EngineError("timeout", "Reading the recording took longer than is allowed.") from error
    except WorkerFailedError as error:
        log.exception("engine.failed", engine=engine)
        raise EngineError("engine_failed", "Our engine failed on this recording.") from error
    except (EngineError, AltaError):
        raise
    except Exception as error:
        log.exception("engine.failed", engine=engine)
        raise EngineError("engine_failed", "Our engine failed on this recording.") from error
