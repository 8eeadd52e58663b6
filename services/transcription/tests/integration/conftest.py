from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from alta_common.engines.operations import OperationStore
from alta_common.ids import new_id
from alta_common.testing.gcs import gcs_emulator
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_emulators.speech_testing import BUCKET, EmulatedSpeech, emulated_speech


@pytest.fixture(scope="session")
def gcs_endpoint() -> Iterator[str]:
    with gcs_emulator(BUCKET) as endpoint:
        yield endpoint


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decoding() -> AsyncIterator[WorkerPool]:
    """A worker process without a model."""
    pool = WorkerPool("decoding", 1, WorkerLimits(job_seconds=200, step_seconds=100))
    await pool.start()
    yield pool
    await pool.close()


@pytest_asyncio.fixture(loop_scope="module")
async def google(gcs_endpoint: str, decoding: WorkerPool) -> AsyncIterator[EmulatedSpeech]:
    async with emulated_speech(gcs_endpoint, decoding) as emulated:
        yield emulated


@pytest.fixture
def operations(google: EmulatedSpeech) -> OperationStore:
    """Those of a request."""
    return OperationStore(google.bucket, new_id(), new_id())


@pytest.fixture
def clip(tmp_path: Path, wav, pcm) -> Path:
    """Five seconds of speech."""
    path = tmp_path / "clip.wav"
    path.write_bytes(wav(pcm))
    return path
