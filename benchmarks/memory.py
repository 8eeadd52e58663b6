"""How much memory a worker takes, for short work and for long."""

from pathlib import Path

from figures import Figure, note, peak_megabytes_of, timed
from inputs import Input, born_digital, long_pdf, long_recording, long_speech, scan
from readers import ours
from speech import listener

LONG_PAGES = 600
SCANNED = 8


async def of_documents(pages: list[Input], folder: Path) -> Figure:
    """Measure a worker's peak on 600 pages, of which some are scans, beside that on a few of each kind."""
    scanned = scan(folder / "scanned-pages.pdf", (pages * SCANNED)[:SCANNED])
    digital = born_digital()
    few = long_pdf(folder / "few.pdf", [scanned, *digital], SCANNED + len(digital))
    many = long_pdf(folder / "many.pdf", [scanned, *digital * LONG_PAGES], LONG_PAGES)
    short, long = await _peak_of_document(few), await _peak_of_document(many)
    return Figure("memory.document_of_600_pages", long, "MB", short)


async def _peak_of_document(path: Path) -> float:
    async with ours(workers=1) as reader:
        (pid,) = reader.pids
        await reader.document(path)
        return peak_megabytes_of(pid)


async def of_recordings(clips: list[Input], hours: int, speech_minutes: float, folder: Path) -> list[Figure]:
    """Measure a worker's peak on hours with little speech, and on much of it, beside that on a clip."""
    clip = await _peak_of_recording(clips[0].path)
    sparse = await _peak_of_recording(long_recording(folder / "hours.wav", hours, clips[0].path))
    dense = await _peak_of_recording(long_speech(folder / "speech.wav", 60 * speech_minutes, clips))
    return [
        Figure(f"memory.recording_of_{hours}_hours", sparse, "MB", clip),
        Figure(f"memory.speech_of_{speech_minutes:g}_minutes", dense, "MB", clip),
    ]


async def _peak_of_recording(path: Path) -> float:
    async with listener() as own:
        (pid,) = own.pids
        seconds = await timed(own.hear(path))
        note(f"{path.name}: {seconds:.1f} s")
        return peak_megabytes_of(pid)
