"""Pages read by looking at them, with the real engine: askew, in perspective, turned, all but empty."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from alta_common.contracts.results import Page
from alta_ocr.engines.looking import read_picture
from alta_ocr.engines.rapid import RapidEngine

Draw = Callable[..., Image.Image]

GOODS = ("Timber", "Canvas", "Lanterns", "Anchors", "Rope", "Copper nails", "Tar", "Oars", "Sails", "Buckets")
PRICES = tuple(f"{number}.{number + 10}" for number in range(21, 31))
ROWS = [part for row in zip(GOODS, PRICES, strict=True) for part in row]


@pytest.fixture(scope="module")
def price_list() -> Image.Image:
    """Goods on the left, their prices far to the right."""
    page = Image.new("RGB", (900, 680), "white")
    font, pen = ImageFont.load_default(30), ImageDraw.Draw(page)
    for i, (name, price) in enumerate(zip(GOODS, PRICES, strict=True)):
        pen.text((60, 50 + i * 58), name, fill="black", font=font)
        pen.text((780, 50 + i * 58), price, fill="black", font=font)
    return page


def read(engine: RapidEngine, image: Image.Image) -> Page:
    picture = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
    return read_picture(picture, 1, image.size, "px", engine)


def texts(page: Page) -> list[str]:
    return [line.text for line in page.lines]


@pytest.mark.parametrize("degrees", [-15, 9])
def test_a_page_that_lies_askew_is_read_row_by_row(
    engine: RapidEngine, price_list: Image.Image, degrees: float
) -> None:
    askew = price_list.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="gray")

    page = read(engine, askew)

    assert texts(page) == ROWS
    assert (page.rotation, page.width, page.height) == (0, *map(float, askew.size))


@pytest.mark.parametrize(("turned", "degrees"), [(180, 6), (90, -8)])
def test_a_page_that_lies_on_its_side_and_askew_is_too(
    engine: RapidEngine, price_list: Image.Image, turned: int, degrees: float
) -> None:
    page = read(engine, price_list.rotate(-turned - degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white"))

    assert texts(page) == ROWS
    assert page.rotation == 360 - turned


def test_boxes_stand_where_the_words_are_on_the_page_as_it_lies(engine: RapidEngine, price_list: Image.Image) -> None:
    askew = price_list.rotate(-9, Image.Resampling.BICUBIC, expand=True, fillcolor="white")

    words = [word for line in read(engine, askew).lines for word in line.words]

    expected = [turned(box, 9, price_list.size, askew.size) for box in printed_words()]
    assert len(words) == len(expected)
    for word, box in zip(words, expected, strict=True):
        found = [edge * side for edge, side in zip(word.box, askew.size * 2, strict=True)]
        # Boxes of 60 to 130 by 55 to 65 pixels; the engine's have a margin around the letters.
        assert found == pytest.approx(box, abs=20), word


def printed_words() -> list[tuple[float, float, float, float]]:
    """Where the words of the price list are printed, in the order in which they are read."""
    font, boxes = ImageFont.load_default(30), []
    for i, row in enumerate(zip(GOODS, PRICES, strict=True)):
        for text, x in zip(row, (60, 780), strict=True):
            _, top, _, bottom = font.getbbox("Tg")  # boxes are as high as a line
            for word in text.split():
                left = x + font.getlength(text[: text.index(word)])
                boxes.append((left, 50 + i * 58 + top, left + font.getlength(word), 50 + i * 58 + bottom))
    return boxes


def turned(
    box: tuple[float, float, float, float], degrees: float, size: tuple[int, int], turned_size: tuple[int, int]
) -> list[float]:
    """Where a box comes to stand when its page is turned clockwise about its middle."""
    x0, y0, x1, y1 = box
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = (np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]) - np.array(size) / 2) @ turn
    corners += np.array(turned_size) / 2
    return [float(edge) for edge in (*corners.min(axis=0), *corners.max(axis=0))]


def test_a_photograph_in_perspective_is_read_row_by_row(engine: RapidEngine, price_list: Image.Image) -> None:
    width, height = price_list.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float32)
    seen = np.array([(60, 90), (width + 90, 40), (width + 40, height + 60), (20, height + 140)], dtype=np.float32)
    view = cv2.getPerspectiveTransform(corners, seen)
    photo = cv2.warpPerspective(np.asarray(price_list), view, (width + 120, height + 160), borderValue=(90, 90, 90))

    assert texts(read(engine, Image.fromarray(photo))) == ROWS


@pytest.mark.parametrize("turned", [0, 270])
def test_a_word_alone_on_a_page_is_read_whichever_way_up(engine: RapidEngine, picture_of: Draw, turned: int) -> None:
    page = read(engine, picture_of(("Invoice",), size=(1240, 1754), font_px=40).rotate(-turned, expand=True))

    assert texts(page) == ["Invoice"]
    assert (page.rotation + turned) % 360 == 0


def test_an_empty_page_has_no_lines_and_no_confidence(engine: RapidEngine) -> None:
    page = read(engine, Image.new("RGB", (1240, 1754), "white"))

    assert (page.lines, page.confidence, page.rotation) == ([], None, 0)
