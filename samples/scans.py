"""Pages rendered like print, then degraded like scans and photographs are."""

import textwrap
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import texts

Pixels = NDArray[np.uint8]

# Debian's fonts-dejavu-core; needed to make the samples again, not to use them.
FONTS = Path("/usr/share/fonts/truetype/dejavu")
DPI = 150
PAGE = (1240, 1754)  # A4
MARGIN = 130


def font(name: str, points: float) -> ImageFont.FreeTypeFont:
    """Return a DejaVu font at our resolution."""
    return ImageFont.truetype(str(FONTS / f"{name}.ttf"), round(points * DPI / 72))


def lease_page(text: str, number: int) -> Image.Image:
    """Typeset one page of the lease."""
    page = Image.new("L", PAGE, 255)
    draw = ImageDraw.Draw(page)
    y = 140.0
    for paragraph in texts.paragraphs(text):
        y = _paragraph(draw, paragraph, y)
    draw.text((PAGE[0] / 2 - 45, PAGE[1] - 105), f"Page {number} of 3", font=font("DejaVuSerif", 8), fill=40)
    return page


def _paragraph(draw: ImageDraw.ImageDraw, line: str, y: float) -> float:
    level = len(line) - len(line.lstrip("#"))
    face = font("DejaVuSerif-Bold", {1: 14, 2: 10.5}[level]) if level else font("DejaVuSerif", 10)
    text = line.lstrip("# ") if level else line
    for part in textwrap.wrap(text, 86):
        draw.text((MARGIN, y), part, font=face, fill=20)
        y += face.size * 1.45
    return y + (6 if line.startswith("(") else 14)


def scanned(page: Image.Image, rng: np.random.Generator, skew_degrees: float) -> Image.Image:
    """Return a page as an office scanner gives it: a little askew, soft, unevenly lit, with grain and dust."""
    pixels = np.asarray(page, dtype=np.uint8)
    height, width = pixels.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), skew_degrees, 1.0)
    pixels = cv2.warpAffine(pixels, turn, (width, height), flags=cv2.INTER_CUBIC, borderValue=(244,))
    pixels = cv2.GaussianBlur(pixels, (0, 0), 0.75)
    # Paper is not white, toner is not black, and the lamp is weaker towards one edge.
    light = np.linspace(1.0, 0.9, width)[None, :] * np.linspace(0.97, 1.0, height)[:, None]
    shown = (38 + pixels.astype(np.float32) * (238 - 38) / 255) * light
    shown[:, :14] *= np.linspace(0.55, 1.0, 14)[None, :]
    coarse = cv2.resize(rng.normal(0, 3.0, (height // 6, width // 6)), (width, height))
    shown += coarse + rng.normal(0, 2.2, (height, width))
    for _ in range(60):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        shown[y : y + int(rng.integers(1, 3)), x : x + int(rng.integers(1, 3))] *= 0.55
    return Image.fromarray(np.clip(shown, 0, 255).astype(np.uint8))


def invoice() -> Image.Image:
    """Typeset the invoice."""
    page = Image.new("L", PAGE, 255)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, 120), texts.INVOICE_HEAD[0], font=font("DejaVuSans-Bold", 17), fill=10)
    _lines(draw, texts.INVOICE_HEAD[1:], MARGIN, 175, font("DejaVuSans", 9))
    draw.line((MARGIN, 245, PAGE[0] - MARGIN, 245), fill=60, width=3)
    _lines(draw, texts.INVOICE_TO, MARGIN, 300, font("DejaVuSans", 11))
    _lines(draw, texts.INVOICE_FACTS, 740, 300, font("DejaVuSans", 11))
    columns = (MARGIN, 720, 900, 1110)
    y = _row(draw, ("Description", "Quantity", "Price", "Amount"), columns, 520, "DejaVuSans-Bold")
    draw.line((MARGIN, y - 10, PAGE[0] - MARGIN, y - 10), fill=60, width=2)
    for row in texts.INVOICE_ROWS:
        y = _row(draw, row, columns, y + 8, "DejaVuSans")
    draw.line((MARGIN, y + 6, PAGE[0] - MARGIN, y + 6), fill=60, width=2)
    for name, amount in texts.INVOICE_TOTALS:
        y = _row(draw, ("", "", name, amount), columns, y + 22, "DejaVuSans-Bold")
    _lines(draw, texts.INVOICE_FOOT, MARGIN, y + 110, font("DejaVuSans", 10))
    return page


def _lines(draw: ImageDraw.ImageDraw, lines: tuple[str, ...], x: int, y: float, face: ImageFont.FreeTypeFont) -> None:
    for number, line in enumerate(lines):
        draw.text((x, y + number * face.size * 1.5), line, font=face, fill=25)


def _row(draw: ImageDraw.ImageDraw, cells: tuple[str, ...], columns: tuple[int, ...], y: float, name: str) -> float:
    face = font(name, 11)
    for number, (cell, x) in enumerate(zip(cells, columns, strict=True)):
        # Figures stand right-aligned, as they do on paper.
        draw.text((x, y), cell, font=face, fill=25, anchor="la" if number == 0 else "ra")
    return y + face.size * 1.7


def photographed(page: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a page as a telephone sees it on a wooden table: in perspective, shaded, a little soft and noisy."""
    paper = cv2.cvtColor(np.asarray(page, dtype=np.uint8), cv2.COLOR_GRAY2BGR).astype(np.float32)
    paper = 30 + paper * np.array([212, 219, 222], dtype=np.float32) / 255  # warm light
    height, width = 2080, 1560
    corners = np.array([(0, 0), (PAGE[0], 0), (PAGE[0], PAGE[1]), (0, PAGE[1])], dtype=np.float32)
    seen = np.array([(172, 150), (1425, 118), (1482, 1962), (92, 1905)], dtype=np.float32)
    view = cv2.getPerspectiveTransform(corners, seen)
    mask = cv2.warpPerspective(np.ones(paper.shape[:2], np.float32), view, (width, height))[..., None]
    photo = cv2.warpPerspective(paper, view, (width, height), flags=cv2.INTER_CUBIC) * mask + _table(
        rng, width, height
    ) * (1 - mask)
    photo = cv2.GaussianBlur(photo, (0, 0), 0.8) * _shade(width, height)
    photo += rng.normal(0, 3.0, photo.shape)
    colours = cv2.cvtColor(np.clip(photo, 0, 255).astype(np.uint8), cv2.COLOR_BGR2RGB)
    return Image.fromarray(colours)


def _table(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    grain = cv2.resize(rng.normal(0, 1, (6, width // 9)), (width, height), interpolation=cv2.INTER_CUBIC)
    wood = np.array([62, 92, 128], dtype=np.float32) + grain[..., None] * 9
    return np.asarray(wood, dtype=np.float32)


def _shade(width: int, height: int) -> NDArray[np.float32]:
    """The light comes from the upper left, and the photographer's own shadow lies over a lower corner."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    light = 1.06 - 0.22 * x - 0.12 * y
    shadow = 1 / (1 + np.exp(-(x + y - 1.55) * 14))
    return np.asarray((light * (1 - 0.22 * shadow))[..., None], dtype=np.float32)
