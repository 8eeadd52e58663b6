from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from alta_ocr.engines.rapid import RapidEngine

Draw = Callable[..., Image.Image]


def bgr(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def test_lines_and_words_are_found_where_they_stand(
    engine: RapidEngine, picture_of: Draw, paragraph: tuple[str, ...]
) -> None:
    picture = picture_of()

    lines = sorted(engine.spot(bgr(picture)), key=lambda line: line.box[1])

    assert [line.text for line in lines] == list(paragraph)
    for line in lines:
        assert [word.text for word in line.words] == line.text.split()
        assert all(0.8 < word.score <= 1 for word in line.words)
        for word in line.words:
            x0, y0, x1, y1 = map(round, word.box)
            inked = np.asarray(picture.convert("L"))[y0:y1, x0:x1] < 128
            assert inked.any(), word
        edges = [edge for word in line.words for edge in (word.box[0], word.box[2])]
        assert edges == sorted(edges)


def test_word_boxes_end_in_the_gaps_between_words(engine: RapidEngine, picture_of: Draw) -> None:
    picture = picture_of(("left          right",), size=(700, 150))

    words = [word for line in engine.spot(bgr(picture)) for word in line.words]

    ink = np.nonzero((np.asarray(picture.convert("L")) < 128).any(axis=0))[0]
    gap = int(np.argmax(np.diff(ink)))
    assert [word.text for word in words] == ["left", "right"]
    assert words[0].box[2] == pytest.approx(ink[gap], abs=18)
    assert words[1].box[0] == pytest.approx(ink[gap + 1], abs=18)


def test_a_blank_page_has_no_lines(engine: RapidEngine) -> None:
    assert engine.spot(np.full((400, 600, 3), 255, dtype=np.uint8)) == []


def test_the_result_names_the_engine_its_version_and_configuration(engine: RapidEngine) -> None:
    assert engine.info.name == "rapidocr"
    assert engine.info.version.endswith("+" + engine.backend)
    assert engine.info.config_hash is not None
    assert len(engine.info.config_hash) == 64


def test_onnx_runtime_reads_the_same(picture_of: Draw, paragraph: tuple[str, ...]) -> None:
    other = RapidEngine("onnxruntime")

    lines = sorted(other.spot(bgr(picture_of())), key=lambda line: line.box[1])

    assert [line.text for line in lines] == list(paragraph)
    assert other.info.version.endswith("+onnxruntime")
