"""Documents made for the tests, and one warm engine for all of them."""

import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont

from alta_common.workers.pool import WorkerLimits, WorkerPool
from alta_ocr.engines.limits import DocumentLimits
from alta_ocr.engines.local import LocalConfig, LocalEngine, warm_up_task
from alta_ocr.engines.rapid import RapidEngine
from alta_ocr.engines.reader import engine_of

SHARED_DATA = Path(__file__).parents[4] / "shared" / "data"

PARAGRAPH = (
    "The harbour was quiet that morning.",
    "Three boats lay at the pier, their nets",
    "drying in the sun. Nobody had gone out",
    "since Tuesday, when the wind had turned.",
)

PdfMaker = Callable[..., Path]


@pytest.fixture
def shared_data() -> Path:
    """The folder of real pages beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real pages are not here: ../shared/data is absent")
    return SHARED_DATA


@pytest.fixture
def paragraph() -> tuple[str, ...]:
    """Four lines of prose."""
    return PARAGRAPH


@pytest.fixture
def picture_of() -> Callable[..., Image.Image]:
    """Makes a page with printed lines."""
    return draw


def draw(lines: tuple[str, ...] = PARAGRAPH, *, size: tuple[int, int] = (900, 420), font_px: int = 36) -> Image.Image:
    page = Image.new("RGB", size, "white")
    font = ImageFont.load_default(font_px)
    pen = ImageDraw.Draw(page)
    for i, line in enumerate(lines):
        pen.text((50, 50 + i * font_px * 2), line, fill="black", font=font)
    return page


@pytest.fixture
def image_file(tmp_path: Path) -> Callable[..., Path]:
    """Saves an image and returns its path."""

    def save(image: Image.Image | None = None, name: str = "page.png", **options: object) -> Path:
        path = tmp_path / name
        (image or draw()).save(path, **options)
        return path

    return save


@pytest.fixture
def pdf_file(tmp_path: Path) -> PdfMaker:
    """Makes a born-digital PDF, one tuple of lines a page."""

    def make(*pages: tuple[str, ...], name: str = "born-digital.pdf") -> Path:
        pdf = FPDF(unit="pt", format=(600, 800))
        pdf.set_font("Helvetica", size=14)
        for lines in pages or (PARAGRAPH,):
            pdf.add_page()
            for i, line in enumerate(lines):
                pdf.text(60, 100 + i * 20, line)
        path = tmp_path / name
        pdf.output(str(path))
        return path

    return make


@pytest.fixture
def raw_pdf(tmp_path: Path) -> PdfMaker:
    """Makes a PDF of one page from a content stream, for what no tool would write."""

    def make(
        content: bytes,
        *,
        page: str = "",
        font: str = "",
        resources: str = "",
        objects: tuple[str, ...] = (),
        name: str = "raw.pdf",
    ) -> Path:
        packed = zlib.compress(content)
        head = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 5 0 R/Resources<</Font<</F1 4 0 R>>%b>>"
        parts = [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            head % resources.encode() + page.encode() + b">>",
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica%b>>" % font.encode(),
            b"<</Filter/FlateDecode/Length %d>>stream\n%b\nendstream" % (len(packed), packed),
            *(item.encode() for item in objects),
        ]
        body, offsets = b"%PDF-1.7\n", []
        for number, part in enumerate(parts, start=1):
            offsets.append(len(body))
            body += b"%d 0 obj\n%b\nendobj\n" % (number, part)
        rows = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
        trailer = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(parts) + 1, len(body))
        path = tmp_path / name
        path.write_bytes(body + b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(parts) + 1, rows) + trailer)
        return path

    return make


@pytest.fixture(scope="session")
def engine() -> RapidEngine:
    """The engine in this process; it takes two seconds to load."""
    return engine_of("auto")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool() -> AsyncIterator[WorkerPool]:
    """Two warm workers for the whole session."""
    limits = WorkerLimits(job_seconds=120, step_seconds=60, memory_bytes=4 * 1024**3)
    pool = WorkerPool("ocr", 2, limits, warm_up=warm_up_task("auto"))
    await pool.start()
    yield pool
    await pool.close()


@pytest.fixture
def limits() -> DocumentLimits:
    """The limits that documents have by default."""
    return DocumentLimits()


@pytest.fixture
def local_engine(pool: WorkerPool, limits: DocumentLimits) -> LocalEngine:
    """The engine on the session's workers."""
    return LocalEngine(pool, LocalConfig(2, 60.0, limits))


@pytest.fixture
def hasty_engine(pool: WorkerPool, limits: DocumentLimits) -> LocalEngine:
    """The same, which gives no page more than two seconds."""
    return LocalEngine(pool, LocalConfig(2, 2.0, limits))
