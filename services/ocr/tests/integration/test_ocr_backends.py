"""A machine on which OpenVINO does not run reads with ONNX Runtime: the same text, only slower."""

from collections.abc import Callable
from pathlib import Path

import pytest

from alta_common.engines.port import SourceFile
from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_ocr.engines.engine import DocumentReading, OcrOptions
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.local import LocalConfig, LocalEngine, warm_up_task

BROKEN = {
    "not installed": "raise ImportError('No module named openvino')",
    "made for another processor": "class Core:\n    def __init__(self):\n        raise OSError('no such device')\n",
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_without_openvino_the_same_is_read_with_onnx_runtime(
    fault: str,
    image_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    paragraph: tuple[str, ...],
) -> None:
    (tmp_path / "broken" / "openvino").mkdir(parents=True)
    (tmp_path / "broken" / "openvino" / "__init__.py").write_text(BROKEN[fault])
    # Worker processes find this one first.
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))

    reading = await read_in_a_new_worker(image_file())

    assert reading.text == "\n".join(paragraph)
    assert reading.engine.version.endswith("+onnxruntime")


async def read_in_a_new_worker(path: Path) -> DocumentReading:
    limits = WorkerLimits(job_seconds=240, step_seconds=240, start_seconds=240)
    pool = WorkerPool("ocr", 1, limits, warm_up=warm_up_task("auto"))
    await pool.start()
    try:
        engine = LocalEngine(pool, LocalConfig(1, 240.0, DocumentLimits()))
        return await engine.recognize(SourceFile(path, "image/png"), OcrOptions(), lambda *_: None)
    finally:
        await pool.close()
