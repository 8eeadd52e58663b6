from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from alta_ocr.engines.rapid import RapidEngine
from alta_ocr.engines.spotted import SpottedLine

Draw = Callable[..., Image.Image]


def spot(engine: RapidEngine, picture: np.ndarray) -> list[SpottedLine]:
    return engine.read(engine.find(picture))


def bgr(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def test_lines_and_words_are_found_where_they_stand(
    engine: RapidEngine, picture_of: Draw, paragraph: tuple[str, ...]
) -> None:
    picture = picture_of()

    lines = sorted(spot(engine, bgr(picture)), key=lambda line: line.box[1])

    assert [line.text for line in lines] == list(paragraph)
    font = ImageFont.load_default(36)
    for i, line in enumerate(lines):
        assert [word.text for word in line.words] == line.text.split()
        assert all(0.8 < word.score <= 1 for word in line.words)
        _, top, _, bottom = font.getbbox(line.text)
        for number, word in enumerate(line.words):
            left = 50 + font.getlength("".join(f"{before.text} " for before in line.words[:number]))
            box = (left, 50 + 72 * i + top, left + font.getlength(word.text), 50 + 72 * i + bottom)
            assert word.box == pytest.approx(box, abs=14), word
        edges = [edge for word in line.words for edge in (word.box[0], word.box[2])]
        assert edges == sorted(edges)


def test_word_boxes_end_in_the_gaps_between_words(engine: RapidEngine, picture_of: Draw) -> None:
    picture = picture_of(("left          right",), size=(700, 150))

    words = [word for line in spot(engine, bgr(picture)) for word in line.words]

    ink = np.nonzero((np.asarray(picture.convert("L")) < 128).any(axis=0))[0]
    gap = int(np.argmax(np.diff(ink)))
    assert [word.text for word in words] == ["left", "right"]
    assert words[0].box[2] == pytest.approx(ink[gap], abs=18)
    assert words[1].box[0] == pytest.approx(ink[gap + 1], abs=18)


@pytest.mark.parametrize(("turned", "direction"), [(0, 0), (10, 10), (90, 90)])
def test_a_line_knows_where_its_text_runs_and_its_words_lie_along_it(
    engine: RapidEngine, picture_of: Draw, turned: int, direction: int
) -> None:
    picture = picture_of(("left and right",), size=(700, 160), font_px=40)

    found = engine.find(bgr(picture.rotate(-turned, expand=True, fillcolor="white")))

    [line] = engine.read(found)
    assert found[0].direction == pytest.approx(direction, abs=1.5)
    assert line.text == "left and right"
    x, y = zip(
        *(((word.box[0] + word.box[2]) / 2, (word.box[1] + word.box[3]) / 2) for word in line.words), strict=True
    )
    assert np.degrees(np.arctan2(y[-1] - y[0], x[-1] - x[0])) == pytest.approx(direction, abs=5)


def test_a_line_on_a_narrow_strip_is_found_without_enlarging_the_strip_beyond_measure(
    engine: RapidEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    strip = Image.new("RGB", (100, 1600), "white")
    ImageDraw.Draw(strip).text((10, 700), "Hello", font=ImageFont.load_default(28), fill="black")
    looked_at: list[tuple[int, ...]] = []
    detect = engine._engine.text_det

    def watched(picture: np.ndarray) -> object:
        looked_at.append(picture.shape)
        return detect(picture)

    monkeypatch.setattr(engine._engine, "text_det", watched)

    [line] = spot(engine, bgr(strip))

    assert line.text == "Hello"
    assert line.box == pytest.approx((10, 705, 80, 730), abs=14)
    assert looked_at
    assert all(height <= 8 * width for height, width, _ in looked_at)


def test_a_blank_page_has_no_lines(engine: RapidEngine) -> None:
    assert spot(engine, np.full((400, 600, 3), 255, dtype=np.uint8)) == []


def test_the_result_names_the_engine_its_version_and_configuration(engine: RapidEngine) -> None:
    assert engine.info.name == "rapidocr"
    assert engine.info.version.endswith("+" + engine.backend)
    assert engine.info.config_hash is not None
    assert len(engine.info.config_hash) == 64


def test_small_print_on_a_large_page_is_found(engine: RapidEngine, picture_of: Draw) -> None:
    sentence = "Small print is where the surprises are"

    page = picture_of((sentence,) * 40, size=(1400, 2000), font_px=16)

    assert [line.text for line in spot(engine, bgr(page))] == [sentence] * 40
