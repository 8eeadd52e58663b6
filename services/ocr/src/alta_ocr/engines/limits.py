"""How much a document may ask of its reader, and how pages are rendered."""

from dataclasses import dataclass

RENDER_DPI = 150
"""72 to 300 dpi read equally well; the engine shrinks to 2000 px anyway."""

LONG_SIDE_PX = 2000
"""The longest side that the engine looks at."""

USUAL_SIDE_PX = 1650
"""The longest side of an A4 or letter page at 150 dpi, nearly."""

TALL_ASPECT = 2.5
"""From here on an image is cut into tiles: shrunk to 2000 px as a whole, its lines would be lost."""

MAX_ASPECT = 50
MIN_SIDE_PX = 8
"""Beyond these the engine's detector fails."""

MAX_PAGE_ASPECT = 100
"""Of a page of a PDF, which is not refused for its shape: beyond this it is a thread, on which nothing can be read."""

MAX_RENDERED_PIXELS = 24_000_000
"""What one rendered page of a PDF may take, however long it is."""


@dataclass(frozen=True)
class DocumentLimits:
    """What is refused before anything is decoded."""

    max_pages: int = 1000
    max_pixels: int = 40_000_000
    """Of one image, as its header states them; Document AI has the same limit."""
