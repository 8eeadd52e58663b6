"""RapidOCR, which carries its models in its wheel: on OpenVINO where that runs, on ONNX Runtime otherwise.

Finding lines and reading them are two steps here instead of RapidOCR's one call: which way up a page is shows before
all of it is read, its word boxes cost 15 % of a dense page, and it pairs words with the confidences of single
characters.
"""

import importlib.metadata
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alta_common.contracts.results import EngineInfo
from alta_ocr.engines.engine import config_hash
from alta_ocr.engines.limits import LONG_SIDE_PX, RENDER_DPI
from alta_ocr.engines.rendering import Picture
from alta_ocr.engines.spotted import Columns, FoundLine, Quad, SpottedLine, spotted

NAME = "rapidocr"

Quads = NDArray[np.float64]
"""`(n, 4, 2)`: frames of lines, as the detector orders their corners."""

_STRIP_HEIGHT_PX = 48
_STRIP_STEP_PX = 64
_NARROWEST_STRIP_PX = 160
"""RapidOCR pads to 320: a third more work on tables and receipts, and they read no better."""

_SHARED = {
    # The classifier flips good lines by 180°: 8 % of the characters of a clean page were lost to it. Whole pages
    # are turned instead (orientation.py).
    "Global.use_cls": False,
    "Global.log_level": "critical",
    "Global.max_side_len": LONG_SIDE_PX,
    "Global.return_word_box": True,
    "Rec.rec_img_shape": [3, _STRIP_HEIGHT_PX, _NARROWEST_STRIP_PX],
}
_OPENVINO = {
    # Lines in batches of six take the same time and, where they are long, a gigabyte more.
    "Rec.rec_batch_num": 1,
    "EngineConfig.openvino.inference_num_threads": 1,
    # Otherwise every worker process binds its thread to the first core, and two are no faster than one.
    "EngineConfig.openvino.enable_cpu_pinning": False,
}
_ONNXRUNTIME = {
    "Rec.rec_batch_num": 2,
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
}
_FLAT = 16
"""A picture whose lightest and darkest samples are closer than this is blank."""

_DETECTOR_PX = 1280
"""The longest side on which lines are looked for at first: half the work of 2000, which prose does not need."""

_SMALL_PRINT_PX = 18
"""Lines that come out lower than this (with the air around them) are looked for again, at full size."""

_NARROWEST = 8
"""RapidOCR enlarges a picture until it is 736 pixels wide: of one that is higher than this many times its width, a
detector makes gigabytes. RapidOCR itself has the same limit for low ones."""

_NEUTRAL = 127
"""Gray, which the recogniser takes for nothing."""

_VERTICAL = 1.5
"""RapidOCR takes a line this many times as high as wide for one that runs downwards, and turns its picture."""


class RapidEngine:
    """A loaded engine. It takes a second or two to make, and half a gigabyte; not to be shared between threads."""

    def __init__(self, backend: str = "auto") -> None:
        self._engine, self.backend = _create(backend)
        self.info = EngineInfo(
            name=NAME,
            version=f"{importlib.metadata.version('rapidocr')}+{self.backend}",
            config_hash=config_hash(_parameters(self.backend) | {"dpi": RENDER_DPI, "detector_px": _DETECTOR_PX}),
        )

    def find(self, picture: Picture) -> list[FoundLine]:
        """Return where lines of text stand in `picture` (BGR), in no particular order."""
        if int(picture.max()) - int(picture.min()) < _FLAT:
            # Looking for text where there is nothing takes as long as finding some.
            return []
        reduction = min(1.0, _DETECTOR_PX / max(picture.shape[:2]))
        quads = self._framed(picture, reduction)
        if reduction < 1 and len(quads) and _height_of(quads) * reduction < _SMALL_PRINT_PX:
            quads = self._framed(picture, min(1.0, LONG_SIDE_PX / max(picture.shape[:2])))
        return [_found(picture, quad) for quad in quads]

    def _framed(self, picture: Picture, reduction: float) -> Quads:
        """Return the frames of lines in a picture looked at so much smaller, in pixels of the picture itself."""
        import cv2
        from rapidocr.utils.process_img import apply_vertical_padding, map_boxes_to_original

        engine = self._engine
        # Averaging keeps thin strokes that the engine's own shrinking would skip.
        small = cv2.resize(picture, None, fx=reduction, fy=reduction, interpolation=cv2.INTER_AREA)
        shown, record = engine.preprocess_img(_widened(small))
        shown, record = apply_vertical_padding(shown, record, engine.width_height_ratio, engine.min_height)
        boxes = engine.text_det(shown).boxes
        if boxes is None:
            return np.empty((0, 4, 2))
        height, width = small.shape[:2]
        quads: Quads = map_boxes_to_original(boxes.astype(np.float64), record, height, width)
        quads *= (picture.shape[1] / width, picture.shape[0] / height)
        return quads

    def read(self, lines: list[FoundLine]) -> list[SpottedLine]:
        """Return what `lines` say, those left out that say nothing."""
        from rapidocr.ch_ppocr_rec.typings import TextRecInput

        if not lines:
            return []
        strips = [_padded(line.strip) for line in lines]
        read = self._engine.text_rec(TextRecInput(img=strips, return_word_box=True))
        shares = [line.strip.shape[1] / strip.shape[1] for line, strip in zip(lines, strips, strict=True)]
        answers = zip(lines, shares, read.txts, read.scores, read.word_results, strict=True)
        return [
            spotted(line, text, float(score), Columns.of(info, share))
            for line, share, text, score, info in answers
            if text.strip()
        ]


def _create(backend: str) -> tuple[Any, str]:
    if backend != "auto":
        return _load(backend), backend
    try:
        return _load("openvino"), "openvino"
    except Exception:  # noqa: BLE001  # whatever keeps OpenVINO from running here, the other one reads as well
        return _load("onnxruntime"), "onnxruntime"


def _load(backend: str) -> Any:
    import cv2
    from rapidocr import EngineType, RapidOCR

    cv2.setNumThreads(1)
    kind = EngineType(backend)
    engine = RapidOCR(params={**_parameters(backend), "Det.engine_type": kind, "Rec.engine_type": kind})
    # Models load at the first call, and kernels are made for the shapes that come: begin with a usual one.
    engine(_sample())
    return engine


def _parameters(backend: str) -> dict[str, Any]:
    return {**_SHARED, **(_OPENVINO if backend == "openvino" else _ONNXRUNTIME)}


def _sample() -> Picture:
    import cv2

    picture = np.full((640, 640, 3), 255, dtype=np.uint8)
    cv2.putText(picture, "Ready when you are", (40, 320), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (0, 0, 0), 3)
    return picture


def _found(picture: Picture, quad: Quad) -> FoundLine:
    from rapidocr.utils.process_img import get_rotate_crop_image

    crop = get_rotate_crop_image(picture, quad.astype(np.float32))
    # Text of a line that stands on its end is taken to run downwards, its upper side to the right.
    return FoundLine(quad[[1, 2, 3, 0]] if _is_vertical(quad) else quad, _strip(crop))


def _widened(picture: NDArray[Any]) -> Picture:
    """Return a picture with paper on its right where it is too narrow for its height."""
    import cv2

    height, width = picture.shape[:2]
    missing = math.ceil(height / _NARROWEST) - width
    if missing <= 0:
        return picture
    paper = [float(value) for value in np.median(picture, axis=(0, 1))]
    return np.asarray(cv2.copyMakeBorder(picture, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=paper), dtype=np.uint8)


def _height_of(quads: Quads) -> float:
    """Return how high the lines are, the usual one of them."""
    sides = np.linalg.norm(quads[:, [1, 3]] - quads[:, [0, 0]], axis=2)
    return float(np.median(sides.min(axis=1)))


def _is_vertical(quad: Quad) -> bool:
    """Say whether RapidOCR has turned the picture of the line that it found here, as its own rule has it."""
    quad = quad.astype(np.float32)
    across, down = _longer(quad[0] - quad[1], quad[2] - quad[3]), _longer(quad[0] - quad[3], quad[1] - quad[2])
    return down >= _VERTICAL * across


def _longer(one: NDArray[Any], other: NDArray[Any]) -> int:
    return int(max(np.linalg.norm(one), np.linalg.norm(other)))


def _strip(crop: Picture) -> Picture:
    import cv2

    height, width = crop.shape[:2]
    length = max(1, math.ceil(_STRIP_HEIGHT_PX * width / height))
    return np.asarray(cv2.resize(crop, (length, _STRIP_HEIGHT_PX)), dtype=np.uint8)


def _padded(strip: Picture) -> Picture:
    """Return a line's picture in one of few widths.

    RapidOCR would pad to any width. OpenVINO makes kernels for each that comes and keeps them: of 30 pages 6 GB of
    address space.
    """
    width = max(_NARROWEST_STRIP_PX, math.ceil(strip.shape[1] / _STRIP_STEP_PX) * _STRIP_STEP_PX)
    padded = np.full((_STRIP_HEIGHT_PX, width, 3), _NEUTRAL, dtype=np.uint8)
    padded[:, : strip.shape[1]] = strip
    return padded
