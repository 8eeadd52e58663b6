"""What the engines are measured on: real pages and speech beside the checkout, else the repository's samples."""

import csv
import itertools
import re
import struct
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pypdfium2
from numpy.typing import NDArray
from PIL import Image

from alta_stack.settings import CHECKOUT
from figures import note

REAL = CHECKOUT.parent / "shared" / "data"
SAMPLES = CHECKOUT / "samples"

_DPI = 200
_TURNED_BY_NAME = "rotated"
# Reference texts of PDFs with several pages are those of one page (from 0).
_PAGE_OF = {"pdf/pypdf_GeoBase_NHNC1_Data_Model_UML_EN.pdf": 4}
# What its reference text was made from is an image of its own.
_ELSEWHERE = {"pdf/unst_DA-1p.pdf"}
_RATE = 16_000


@dataclass(frozen=True)
class Input:
    """A file and what it says."""

    name: str
    path: Path
    truth: str


def scanned_pages(folder: Path) -> list[Input]:
    """Return upright pages as pictures; those of PDFs are drawn into `folder`."""
    if not REAL.is_dir():
        note(f"{REAL} is not here: measuring on the repository's samples instead.")
        return [*_lease(folder), _sample("invoice-photo.jpg")]
    pages = []
    for row in _manifest({"page image", "pdf"}):
        name, truth = row["file"], (REAL / row["truth"]).read_text(encoding="utf-8")
        if row["kind"] == "pdf" and name not in _ELSEWHERE:
            pages.append(_drawn(REAL / name, truth, folder, _PAGE_OF.get(name, 0)))
        elif row["kind"] == "page image" and _TURNED_BY_NAME not in name:
            pages.append(Input(name, REAL / name, truth))
    return pages


def recordings() -> list[Input]:
    """Return English recordings."""
    if not REAL.is_dir():
        return [_sample("site-visit-note.wav"), _sample("support-call.ogg")]
    return [
        Input(row["file"], REAL / row["file"], (REAL / row["truth"]).read_text(encoding="utf-8"))
        for row in _manifest({"audio"})
    ]


def born_digital() -> list[Path]:
    """Return PDFs whose pages have text of their own."""
    if not REAL.is_dir():
        return [SAMPLES / "quarterly-report.pdf"]
    return [REAL / row["file"] for row in _manifest({"pdf"})]


def turned(page: Input, degrees: int, folder: Path) -> Input:
    """Return a copy of a page that lies `degrees` to the left."""
    path = folder / f"{page.path.stem}-{degrees}.png"
    with Image.open(page.path) as image:
        image.rotate(degrees, expand=True).save(path)
    return Input(f"{page.name} turned by {degrees}", path, page.truth)


def long_pdf(path: Path, sources: Iterable[Path], pages: int) -> Path:
    """Write a PDF of `pages` pages, which are those of `sources` over and over."""
    with pypdfium2.PdfDocument.new() as document:
        for source in itertools.cycle(sources):
            missing = pages - len(document)
            if not missing:
                break
            with pypdfium2.PdfDocument(source) as pdf:
                document.import_pages(pdf, list(range(min(len(pdf), missing))))
        document.save(path)
    return path


def scan(path: Path, pages: Iterable[Input]) -> Path:
    """Write a scanner's PDF: one picture a page, no text."""
    pictures = [Image.open(page.path).convert("L") for page in pages]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], resolution=_DPI)
    return path


def long_recording(path: Path, hours: int, speech: Path) -> Path:
    """Write a recording of so many hours, in each of which somebody speaks for some seconds."""
    spoken = b"".join(_samples_of(speech))
    hour = 3600 * _RATE * 2
    size = hours * hour
    form = struct.pack("<IHHIIHH", 16, 1, 1, _RATE, _RATE * 2, 2, 16)
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form + b"data" + struct.pack("<I", size))
        for number in range(hours):
            file.seek(44 + number * hour)
            file.write(spoken)
        # Silence is what nobody has written: it takes no room on the disk.
        file.truncate(44 + size)
    return path


def long_speech(path: Path, seconds: float, clips: list[Input]) -> Path:
    """Write a recording in which people speak all the time: clips in any order, at any speed and level, with pauses.

    No two phrases are as long as each other, as in life. The same arguments give the same recording.
    """
    chance = np.random.default_rng(7)
    spoken = [np.frombuffer(b"".join(_samples_of(clip.path)), "<i2").astype(np.float32) for clip in clips]
    left = round(seconds * _RATE)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        while left:
            said = _said_again(spoken[chance.integers(len(spoken))], chance)[:left]
            file.writeframes(said.tobytes())
            left -= said.size
    return path


def _said_again(clip: NDArray[np.float32], chance: np.random.Generator) -> NDArray[np.int16]:
    """Return a clip at up to a fifth more or less of its speed, up to 25 dB quieter, with a pause of up to 6 s."""
    places = np.arange(0, clip.size - 1, chance.uniform(0.85, 1.2))
    said = np.interp(places, np.arange(clip.size), clip) * 10 ** chance.uniform(-1.25, 0)
    pause = chance.choice([chance.uniform(0.1, 1), chance.uniform(1, 6)])
    return np.pad(said, (0, round(pause * _RATE))).astype("<i2")


def _samples_of(path: Path) -> Iterator[bytes]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
    with av.open(str(path)) as recording:
        for frame in recording.decode(audio=0):
            for part in resampler.resample(frame):
                yield part.to_ndarray().tobytes()


def _manifest(kinds: set[str]) -> list[dict[str, str]]:
    """Return what is known of the real inputs that have a reference text."""
    with (REAL / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if row["truth"] and row["kind"] in kinds]


def _sample(name: str) -> Input:
    return Input(name, SAMPLES / name, _truth_of(name))


def _truth_of(name: str) -> str:
    return (SAMPLES / "text" / name).with_suffix(".txt").read_text(encoding="utf-8")


def _lease(folder: Path) -> list[Input]:
    """Return the pages of the sample that is a scan; its text names the end of each."""
    name = "lease-agreement-scan.pdf"
    texts = re.split(r"(?<=Page \d of 3)\n+", _truth_of(name).strip())
    return [_drawn(SAMPLES / name, text, folder, number) for number, text in enumerate(texts)]


def _drawn(pdf: Path, truth: str, folder: Path, number: int) -> Input:
    """Draw a page of a PDF as a scanner would see it."""
    path = folder / f"{pdf.stem}-{number + 1}.png"
    with pypdfium2.PdfDocument(pdf) as document:
        document[number].render(scale=_DPI / 72, grayscale=True).to_pil().save(path)
    return Input(f"{pdf.name}, page {number + 1}", path, truth)
