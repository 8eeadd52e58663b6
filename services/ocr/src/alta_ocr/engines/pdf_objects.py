"""What a page of a PDF is drawn of: texts that may be unseen, images that cover the page."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

_GRID = 1_000_000
_MOST_OBJECTS = 20_000
_DEEPEST_FORM = 4
_CELLS = 50
"""In each direction, of the grid in which images cover a page."""

LARGE_IMAGE = 0.6
"""Share of a page from which an image, or all of them together, may be a scan of it."""

_OPAQUE = 250
"""Mean opacity, of 255, from which an image counts as one that nothing shines through."""

_MOST_COVER_PIXELS = 4_000_000
_UNSEEN_MODES = {pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP}

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PageObjects:
    """What a page is made of, as far as it tells whether its text layer can be trusted."""

    texts: int
    invisible_texts: int
    under_images: float
    """Share of the page that images cover, roughly."""
    pixels_per_point: float
    """How finely the largest image was scanned; 0 where there is none."""


@dataclass(frozen=True)
class Cover:
    """An image over a large part of a page that nothing shines through. `box` is in shares of the page as shown."""

    texts: frozenset[int]
    """Addresses of the text objects that are drawn before it."""
    box: Box

    def hides(self, text: int, box: Box) -> bool:
        """Say whether it is drawn over what stands in `box` of the text object with this address."""
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        return text in self.texts and self.box[0] < x < self.box[2] and self.box[1] < y < self.box[3]


def objects_of(page: Any) -> PageObjects:
    """Return what a page is made of. Looks at its first 20,000 objects."""
    texts = invisible = 0
    largest = pixels_per_point = 0.0
    images: list[NDArray[np.float64]] = []
    for item, matrix in _objects(page):
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            texts += 1
            invisible += is_invisible(item)
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            images.append(_corners(item, matrix))
            area = _area(images[-1])
            if area > largest:
                largest, pixels_per_point = area, (_pixels(item) / area) ** 0.5
    return PageObjects(texts, invisible, _under(images, page), pixels_per_point)


def is_invisible(text: Any) -> bool:
    """Say whether a text object leaves no ink: it is drawn as nothing, or so that all shines through."""
    if pdfium.FPDFTextObj_GetTextRenderMode(text) in _UNSEEN_MODES:
        return True
    if not pdfium.FPDFPageObj_HasTransparency(text):
        return False
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    return bool(pdfium.FPDFPageObj_GetFillColor(text, red, green, blue, alpha)) and alpha.value == 0


def _under(images: list[NDArray[np.float64]], page: Any) -> float:
    """Return which share of a page is under images: a scan may be stored in strips."""
    if not images:
        return 0.0
    grid = np.zeros((_CELLS, _CELLS), dtype=np.bool_)
    for (left, top), (right, bottom) in zip(*np.rint(_shares(images, page) * _CELLS).astype(int), strict=True):
        grid[top:bottom, left:right] = True
    return float(grid.mean())


def _shares(images: list[NDArray[np.float64]], page: Any) -> NDArray[np.float64]:
    """Return the upper left and the lower right corners of images in shares of the page as it is shown, clipped."""
    a, b, c, d, e, f = display_matrix(page)
    corners = np.stack(images)[:, :, :2] @ np.array([[a, b], [c, d]]) + (e, f)
    return np.asarray(np.clip([corners.min(axis=1), corners.max(axis=1)], 0, 1), dtype=np.float64)


def _objects(page: Any) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    left = _MOST_OBJECTS
    containers: list[tuple[Any, NDArray[np.float64], int]] = [(None, np.eye(3), 0)]
    while containers and left > 0:
        form, matrix, depth = containers.pop()
        count = pdfium.FPDFPage_CountObjects(page) if form is None else pdfium.FPDFFormObj_CountObjects(form)
        for i in range(min(count, left)):
            item = pdfium.FPDFPage_GetObject(page, i) if form is None else pdfium.FPDFFormObj_GetObject(form, i)
            left -= 1
            if pdfium.FPDFPageObj_GetType(item) == pdfium.FPDF_PAGEOBJ_FORM and depth < _DEEPEST_FORM:
                containers.append((item, _matrix_of(item) @ matrix, depth + 1))
            yield item, matrix


def _matrix_of(item: Any) -> NDArray[np.float64]:
    m = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(item, m)
    return np.array([[m.a, m.b, 0], [m.c, m.d, 0], [m.e, m.f, 1]], dtype=np.float64)


def _corners(item: Any, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return two opposite corners of an object on its page; one and the same where it has no extent."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    pdfium.FPDFPageObj_GetBounds(item, left, bottom, right, top)
    return np.array([[left.value, bottom.value, 1], [right.value, top.value, 1]]) @ matrix


def _area(corners: NDArray[np.float64]) -> float:
    across, up = np.abs(corners[1] - corners[0])[:2]
    return float(across * up)


def _pixels(image: Any) -> int:
    across, down = ctypes.c_uint(), ctypes.c_uint()
    pdfium.FPDFImageObj_GetImagePixelSize(image, across, down)
    return across.value * down.value


def covers_of(page: Any) -> list[Cover]:
    """Return the large images that hide what is drawn before them. Looks at no forms."""
    covers: list[Cover] = []
    texts: list[int] = []
    for i in range(min(pdfium.FPDFPage_CountObjects(page), _MOST_OBJECTS)):
        item = pdfium.FPDFPage_GetObject(page, i)
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            texts.append(address_of(item))
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE and texts:
            corners = _corners(item, np.eye(3))
            if _under([corners], page) > LARGE_IMAGE and _is_opaque(item, page, _area(corners)):
                (lower,), (upper,) = _shares([corners], page)
                covers.append(Cover(frozenset(texts), (*lower, *upper)))
    return covers


def address_of(item: Any) -> int:
    """Return what tells an object of a page from another one."""
    return ctypes.cast(item, ctypes.c_void_p).value or 0


def _is_opaque(image: Any, page: Any, area: float) -> bool:
    if area > _MOST_COVER_PIXELS or pdfium.FPDFPageObj_HasTransparency(image):
        return False
    # Masks show only in what is drawn: a pixel for each point.
    drawn = pdfium.FPDFImageObj_GetRenderedBitmap(page.pdf, page, image)
    if not drawn:
        return False
    try:
        height, stride = pdfium.FPDFBitmap_GetHeight(drawn), pdfium.FPDFBitmap_GetStride(drawn)
        content = ctypes.string_at(pdfium.FPDFBitmap_GetBuffer(drawn), height * stride)
        has_alpha = pdfium.FPDFBitmap_GetFormat(drawn) == pdfium.FPDFBitmap_BGRA
        return not has_alpha or float(np.frombuffer(content, np.uint8)[3::4].mean()) > _OPAQUE
    finally:
        pdfium.FPDFBitmap_Destroy(drawn)


def display_matrix(page: Any) -> tuple[float, float, float, float, float, float]:
    """Return the affine map from the page's own coordinates to shares of the page as shown (crop box, /Rotate)."""

    def shown(x: float, y: float) -> tuple[float, float]:
        across, down = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDF_PageToDevice(page, 0, 0, _GRID, _GRID, 0, x, y, across, down)
        return across.value / _GRID, down.value / _GRID

    reach = 1000.0
    (e, f), (ax, ay), (cx, cy) = shown(0, 0), shown(reach, 0), shown(0, reach)
    return (ax - e) / reach, (ay - f) / reach, (cx - e) / reach, (cy - f) / reach, e, f
