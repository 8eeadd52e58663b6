"""RapidOCR, which carries its models in its wheel: on OpenVINO where that runs, on ONNX Runtime otherwise.

Detection and recognition are called one after the other instead of through RapidOCR's own call: its word boxes cost
15 % of a dense page, and it pairs words with the confidences of single characters.
"""

import importlib.metadata
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alta_common.contracts.results import EngineInfo
from alta_ocr.engines.engine import config_hash
from alta_ocr.engines.limits import LONG_SIDE_PX, RENDER_DPI
from alta_ocr.engines.rendering import Picture

NAME = "rapidocr"

Quad = NDArray[np.float32]
"""Corners of a line, `(4, 2)` x and y in pixels, clockwise from its top left."""

_SHARED = {
    # The classifier flips good lines by 180°: 8 % of the characters of a clean page were lost to it. Whole pages
    # are turned instead (orientation.py).
    "Global.use_cls": False,
    "Global.log_level": "critical",
    "Global.max_side_len": LONG_SIDE_PX,
    "Global.return_word_box": True,
}
_OPENVINO = {
    # Lines in batches of six take the same time and, where they are long, a gigabyte more.
    "Rec.rec_batch_num": 1,
    "EngineConfig.openvino.inference_num_threads": 1,
}
_ONNXRUNTIME = {
    "Rec.rec_batch_num": 2,
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
}
_STRIP_HEIGHT_PX = 48
_NARROWEST_STRIP_PX = 320
_STRIP_STEP_PX = 64
_NEUTRAL = 127
"""Gray, which the recogniser takes for nothing."""

_VERTICAL = 1.5
"""RapidOCR turns a line this many times as high as wide before reading it."""


@dataclass(frozen=True)
class SpottedWord:
    """A word of a spotted line. `box` is x0, y0, x1, y1 in pixels."""

    text: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class SpottedLine:
    """A line that was found in a picture and read; garbage has a low score."""

    text: str
    score: float
    box: tuple[float, float, float, float]
    words: list[SpottedWord]

    @property
    def is_vertical(self) -> bool:
        """Say whether the line runs up or down the picture."""
        x0, y0, x1, y1 = self.box
        return y1 - y0 > _VERTICAL * (x1 - x0)

    def followed_by(self, other: "SpottedLine") -> "SpottedLine":
        """Return one line made of this and `other`, which stands right of it."""
        (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = self.box, other.box
        length = len(self.text) + len(other.text)
        return SpottedLine(
            text=f"{self.text} {other.text}",
            score=(self.score * len(self.text) + other.score * len(other.text)) / length,
            box=(min(ax0, bx0), min(ay0, by0), max(ax1, bx1), max(ay1, by1)),
            words=self.words + other.words,
        )


class RapidEngine:
    """A loaded engine. It takes a second or two to make, and half a gigabyte; not to be shared between threads."""

    def __init__(self, backend: str = "auto") -> None:
        self._engine, self.backend = _create(backend)
        self.info = EngineInfo(
            name=NAME,
            version=f"{importlib.metadata.version('rapidocr')}+{self.backend}",
            config_hash=config_hash(_parameters(self.backend) | {"dpi": RENDER_DPI}),
        )

    def spot(self, picture: Picture) -> list[SpottedLine]:
        """Return the lines of `picture` (BGR), in no particular order."""
        from rapidocr.ch_ppocr_rec.typings import TextRecInput
        from rapidocr.main import RapidOCRError

        height, width = picture.shape[:2]
        small, record = self._engine.preprocess_img(picture)
        try:
            crops, detected = self._engine.detect_and_crop(small, record)
        except RapidOCRError:
            return []
        from rapidocr.utils.process_img import map_boxes_to_original

        strips, shares = zip(*(_strip(crop) for crop in crops), strict=True)
        read = self._engine.text_rec(TextRecInput(img=list(strips), return_word_box=True))
        quads = map_boxes_to_original(detected.boxes, record, height, width)
        found = zip(quads, shares, read.txts, read.scores, read.word_results, strict=True)
        return [
            _line(quad, text, float(score), _Columns.of(info, share))
            for quad, share, text, score, info in found
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


def _strip(crop: Picture) -> tuple[Picture, float]:
    """Return a line's picture as the recogniser wants it, and the share of its width that the line takes up.

    RapidOCR would do the same, to widths of any number. OpenVINO makes kernels for each width that comes and keeps
    them: of 30 pages 6 GB of address space. So widths come in steps.
    """
    import cv2

    height, width = crop.shape[:2]
    inked = max(1, math.ceil(_STRIP_HEIGHT_PX * width / height))
    whole = max(_NARROWEST_STRIP_PX, math.ceil(inked / _STRIP_STEP_PX) * _STRIP_STEP_PX)
    strip = np.full((_STRIP_HEIGHT_PX, whole, 3), _NEUTRAL, dtype=np.uint8)
    strip[:, :inked] = cv2.resize(crop, (inked, _STRIP_HEIGHT_PX))
    return strip, inked / whole


def _line(quad: Quad, text: str, score: float, columns: "_Columns") -> SpottedLine:
    return SpottedLine(text.strip(), score, _bounds(quad), _words(quad, text, score, columns))


@dataclass(frozen=True)
class _Columns:
    """Where along a line the recogniser saw its characters: their middles, in shares of the line's length."""

    middles: list[float]
    scores: list[float]
    """Of all characters, spaces included."""

    @classmethod
    def of(cls, info: Any, share: float) -> "_Columns":
        """Read RapidOCR's `WordInfo` of a strip of which the line takes up `share`."""
        length = max(info.line_txt_len * share, 1e-6)
        return cls([(column + 0.5) / length for word in info.word_cols for column in word], info.confs)


def _words(quad: Quad, text: str, score: float, columns: _Columns) -> list[SpottedWord]:
    middles = columns.middles
    inked = [i for i, character in enumerate(text) if not character.isspace()]
    if len(middles) != len(inked) or len(columns.scores) < len(text):
        return [SpottedWord(text.strip(), score, _bounds(quad))]
    words, position = [], 0
    step = (middles[-1] - middles[0]) / max(len(text.strip()) - 1, 1) or 1.0
    for word in text.split():
        first, last = position, position + len(word) - 1
        # A word ends where its last character does, or half-way to its neighbour.
        start = middles[first] - min(step, middles[first] - middles[first - 1] if first else step) / 2
        end = middles[last] + min(step, middles[last + 1] - middles[last] if last + 1 < len(middles) else step) / 2
        scores = [columns.scores[i] for i in inked[first : last + 1]]
        words.append(SpottedWord(word, float(np.mean(scores)), _bounds(_part(quad, start, end))))
        position = last + 1
    return words


def _part(quad: Quad, start: float, end: float) -> Quad:
    """Return the stretch of a line between two shares of its length."""
    start, end = max(0.0, min(start, 1.0)), max(0.0, min(end, 1.0))
    across, down = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
    # Text of a vertical line runs downwards, its upper side to the right.
    p0, p1, p2, p3 = quad[[1, 2, 3, 0]] if down >= _VERTICAL * across else quad
    return np.array([p0 + (p1 - p0) * start, p0 + (p1 - p0) * end, p3 + (p2 - p3) * end, p3 + (p2 - p3) * start])


def _bounds(quad: Quad) -> tuple[float, float, float, float]:
    x0, y0 = quad.min(axis=0)
    x1, y1 = quad.max(axis=0)
    return float(x0), float(y0), float(x1), float(y1)
