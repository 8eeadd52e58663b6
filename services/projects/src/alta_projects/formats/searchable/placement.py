"""Where a place on the upright page is on the page of a PDF, and the other way round."""

from dataclasses import dataclass

from pikepdf import Array, Dictionary, Object, Page

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]
"""Left, bottom, right, top in the page's own units (ISO 32000-2, 8.3.2.3)."""

_LETTER: Rectangle = (0.0, 0.0, 612.0, 792.0)
_QUARTER, _HALF = 90, 180
# A page tree that goes round in circles must end.
_DEEPEST_TREE = 100


@dataclass(frozen=True, slots=True)
class PageSpace:
    """The visible part of a PDF page, and by how many degrees clockwise it is turned to stand upright.

    Boxes of results are shares of the upright page, so that UserUnit (the size of a unit) does not matter.
    """

    visible: Rectangle
    turned: int

    @classmethod
    def of(cls, page: Page, rotation: int) -> "PageSpace":
        """Return the space of a page that a viewer turns by its /Rotate, and the reader of its text by `rotation`."""
        return cls(visible_part(page), (rotate_of(page) + rotation) % 360)

    @property
    def width(self) -> float:
        """Return the width of the upright page."""
        return self._sides[1] if self.turned % _HALF else self._sides[0]

    @property
    def height(self) -> float:
        """Return the height of the upright page."""
        return self._sides[0] if self.turned % _HALF else self._sides[1]

    @property
    def rightwards(self) -> Point:
        """Return the direction, on the page as it lies in the file, that is rightwards on the upright one."""
        return {0: (1.0, 0.0), 90: (0.0, 1.0), 180: (-1.0, 0.0), 270: (0.0, -1.0)}[self.turned]

    def place(self, across: float, down: float) -> Point:
        """Return where the share (`across`, `down`) of the upright page is, in the page's own units."""
        if self.turned == _QUARTER:
            across, down = down, 1 - across
        elif self.turned == _HALF:
            across, down = 1 - across, 1 - down
        elif self.turned:
            across, down = 1 - down, across
        left, _, _, top = self.visible
        return left + across * self._sides[0], top - down * self._sides[1]

    def share(self, x: float, y: float) -> Point:
        """Return which share of the upright page a point is: what `place` undoes."""
        left, _, _, top = self.visible
        across, down = (x - left) / self._sides[0], (top - y) / self._sides[1]
        if self.turned == _QUARTER:
            return 1 - down, across
        if self.turned == _HALF:
            return 1 - across, 1 - down
        return (down, 1 - across) if self.turned else (across, down)

    @property
    def _sides(self) -> Point:
        left, bottom, right, top = self.visible
        return right - left, top - bottom


def visible_part(page: Page) -> Rectangle:
    """Return what of a page is shown: its CropBox within its MediaBox; US letter where it states no size."""
    media = _rectangle(page, "/MediaBox") or _LETTER
    crop = _rectangle(page, "/CropBox") or media
    shared = (max(media[0], crop[0]), max(media[1], crop[1]), min(media[2], crop[2]), min(media[3], crop[3]))
    return shared if shared[0] < shared[2] and shared[1] < shared[3] else media


def rotate_of(page: Page) -> int:
    """Return by how many degrees clockwise a viewer turns the page: 0, 90, 180 or 270."""
    stated = inherited(page, "/Rotate")
    try:
        return round(float(stated) / _QUARTER) * _QUARTER % 360 if stated is not None else 0
    except (TypeError, ValueError, OverflowError):
        return 0


def _rectangle(page: Page, key: str) -> Rectangle | None:
    stated = inherited(page, key)
    if not isinstance(stated, Array):
        return None
    try:
        x0, y0, x1, y1 = (float(number) for number in stated)
    except (TypeError, ValueError):
        return None
    found = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    return found if found[0] < found[2] and found[1] < found[3] else None


def inherited(page: Page, key: str) -> Object | None:
    """Return an attribute of a page, or of the nodes of the page tree above it (ISO 32000-2, 7.7.3.4)."""
    node: Object | None = page.obj
    for _ in range(_DEEPEST_TREE):
        if not isinstance(node, Dictionary):
            break
        if key in node:
            return node[key]
        node = node.get("/Parent")
    return None


def own_resources(page: Page) -> Dictionary:
    """Return a page's resources for adding to, made its own: pages may share them, or inherit them."""
    resources = copied(inherited(page, "/Resources"))
    for kind in ("/Font", "/XObject"):
        resources[kind] = copied(resources.get(kind))
    page.obj.Resources = resources
    return resources


def copied(dictionary: Object | None) -> Dictionary:
    """Return a dictionary with the same entries; an empty one for what is none."""
    return Dictionary(dict(dictionary.items())) if isinstance(dictionary, Dictionary) else Dictionary()
