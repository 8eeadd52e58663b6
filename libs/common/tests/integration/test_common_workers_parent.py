import asyncio
import signal
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

PARENT = """
import asyncio
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_common.workers.wire import Task

async def main():
    pool = WorkerPool("orphan", 1, WorkerLimits(job_seconds=600, step_seconds=600))
    await pool.start()
    job = asyncio.ensure_future(pool.run(Task("orphan_jobs:sleep")))
    print(pool.pids[0], flush=True)
    await job

asyncio.run(main())
"""


def ends(pid: int, within: timedelta) -> bool:
    limit = time.monotonic() + within.total_seconds()
    status = Path(f"/proc/{pid}/status")
    while time.monotonic() < limit:
        with suppress(FileNotFoundError):
            if "State:\tZ" not in status.read_text():
                time.sleep(0.02)
                continue
        return True
    return False


async def test_no_worker_outlives_a_killed_service(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "orphan_jobs.py").write_text("import time\ndef sleep(report): time.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    worker = int(await parent.stdout.readline())

    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    assert await asyncio.to_thread(ends, worker, timedelta(seconds=60))
