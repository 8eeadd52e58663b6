"""Make the sample documents and recordings, and beside them the text that they hold.

Needs Debian's fonts-dejavu-core and flite. The same versions of these and of the locked packages give the same files.
"""

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from fpdf import FPDF
from PIL import Image

import scans
import speech
import texts

FOLDER = Path(__file__).resolve().parent
SEED = 20240314
MADE_AT = datetime(2024, 3, 18, 9, 30, tzinfo=UTC)
ORIENTATION = 0x0112  # EXIF


def main() -> None:
    """Write every sample into this folder."""
    (FOLDER / "text").mkdir(exist_ok=True)
    lease(np.random.default_rng(SEED))
    invoice(np.random.default_rng(SEED + 1))
    report()
    note(np.random.default_rng(SEED + 2))
    call(np.random.default_rng(SEED + 3))
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in {".pdf", ".jpg", ".wav", ".ogg"}:
            print(f"{path.name:<28} {path.stat().st_size / 1000:7.0f} kB")


def lease(rng: np.random.Generator) -> None:
    """Write a lease of three pages as a scanner's PDF: images only."""
    document = new_pdf()
    for number, (text, skew) in enumerate(zip(texts.LEASE_PAGES, (0.7, -0.9, 0.4), strict=True), start=1):
        picture = io.BytesIO()
        page = scans.scanned(scans.lease_page(text, number), rng, skew)
        page.save(picture, "JPEG", quality=42)
        document.add_page()
        document.image(picture, 0, 0, document.w, document.h)
    document.output(str(FOLDER / "lease-agreement-scan.pdf"))
    lines = []
    for number, text in enumerate(texts.LEASE_PAGES, start=1):
        lines += [line.lstrip("# ") for line in texts.paragraphs(text)] + [f"Page {number} of 3"]
    write_text("lease-agreement-scan", "\n\n".join(lines))


def invoice(rng: np.random.Generator) -> None:
    """Write an invoice as a telephone's photograph, which was held sideways and says so in its EXIF data."""
    upright = scans.photographed(scans.invoice(), rng)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # turn right by 90 degrees to see it upright
    upright.transpose(Image.Transpose.ROTATE_90).save(FOLDER / "invoice-photo.jpg", quality=62, exif=exif)
    rows = ["  ".join(row) for row in (("Description", "Quantity", "Price", "Amount"), *texts.INVOICE_ROWS)]
    totals = ["  ".join(row) for row in texts.INVOICE_TOTALS]
    lines = [*texts.INVOICE_HEAD, *texts.INVOICE_TO, *texts.INVOICE_FACTS, *rows, *totals, *texts.INVOICE_FOOT]
    write_text("invoice-photo", "\n".join(lines))


def report() -> None:
    """Write a report of two pages as a word processor would: with a text layer."""
    document = new_pdf()
    document.set_margins(22, 20)
    document.add_font("DejaVu", fname=scans.FONTS / "DejaVuSerif.ttf")
    document.add_font("DejaVu", style="B", fname=scans.FONTS / "DejaVuSerif-Bold.ttf")
    document.add_page()
    heading(document, texts.REPORT_TITLE, 18)
    for text in texts.paragraphs(texts.REPORT_SUMMARY):
        paragraph(document, text)
    document.add_page()
    heading(document, "Figures by Building", 13)
    document.set_font("DejaVu", size=9)
    with document.table(text_align=("LEFT", *["RIGHT"] * 5), line_height=7) as table:
        for cells in texts.REPORT_TABLE:
            row = table.row()
            for cell in cells:
                row.cell(cell)
    document.ln(8)
    heading(document, "Outlook", 13)
    for text in texts.paragraphs(texts.REPORT_OUTLOOK):
        paragraph(document, text)
    document.output(str(FOLDER / "quarterly-report.pdf"))
    table_text = ["  ".join(row) for row in texts.REPORT_TABLE]
    parts = [texts.REPORT_TITLE, *texts.paragraphs(texts.REPORT_SUMMARY), "Figures by Building", *table_text]
    parts += ["Outlook", *texts.paragraphs(texts.REPORT_OUTLOOK)]
    write_text("quarterly-report", "\n\n".join(parts))


def note(rng: np.random.Generator) -> None:
    """Write a spoken note as a dictation machine's WAV."""
    (text,) = texts.paragraphs(texts.NOTE)
    sound = np.concatenate([speech.pause(0.4), speech.speak(text, "slt"), speech.pause(0.5)])
    speech.write_wav(FOLDER / "site-visit-note.wav", speech.in_a_room(sound, rng, noise_db=-46))
    write_text("site-visit-note", text)


def call(rng: np.random.Generator) -> None:
    """Write a telephone call of two people as Ogg/Opus."""
    said = [(voice, text.replace("\n", " ")) for voice, text in texts.CALL]
    turns = [part for voice, text in said for part in (speech.speak(text, voice), speech.pause(0.45))]
    speech.write_opus(FOLDER / "support-call.ogg", speech.in_a_room(np.concatenate(turns), rng, noise_db=-44))
    write_text("support-call", "\n".join(text for _, text in said))


def new_pdf() -> FPDF:
    """Return an empty A4 document whose bytes do not depend on when it is made."""
    document = FPDF(format="A4")
    document.set_creation_date(MADE_AT)
    document.set_auto_page_break(auto=False)
    return document


def heading(document: FPDF, text: str, size: int) -> None:
    """Add a heading."""
    document.set_font("DejaVu", style="B", size=size)
    document.multi_cell(0, 10, text, new_x="LMARGIN", new_y="NEXT")
    document.ln(3)


def paragraph(document: FPDF, text: str) -> None:
    """Add a paragraph."""
    document.set_font("DejaVu", size=10.5)
    document.multi_cell(0, 6, text, new_x="LMARGIN", new_y="NEXT")
    document.ln(4)


def write_text(name: str, text: str) -> None:
    """Write what a sample says, to compare results with."""
    (FOLDER / "text" / f"{name}.txt").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
