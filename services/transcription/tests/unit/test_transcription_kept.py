from alta_common.contracts.results import Segment
from alta_transcription.engines.kept import KeptTranscript, Part
from alta_transcription.engines.whisper_jobs import Heard, Seam


class Parts:
    """A checkpoint in memory."""

    def __init__(self, *parts: Part) -> None:
        self.parts = {f"c-{part.begin:012d}": part.model_dump_json().encode() for part in parts}

    async def load(self) -> dict[str, bytes]:
        return dict(self.parts)

    async def save(self, name: str, content: bytes) -> None:
        self.parts[name] = content


def a_part(begin: int, end: int, text: str) -> Part:
    segment = Segment(start_ms=begin, end_ms=end, text=text, confidence=0.5, words=[])
    return Part(begin=begin, seam=Seam(end, end, "en"), segments=[segment])


async def taken_up(parts: Parts, config: str = "c") -> tuple[int, list[str]]:
    kept = await KeptTranscript.load(parts, config, keep_every_seconds=0)
    return kept.seam.sample, [segment.text for segment in kept.segments]


async def test_what_is_kept_is_taken_up_seam_by_seam() -> None:
    parts = Parts(a_part(0, 100, "one"), a_part(100, 250, "two"))

    assert await taken_up(parts) == (250, ["one", "two"])
    assert await taken_up(parts, "other") == (0, [])


async def test_a_part_of_an_earlier_delivery_is_passed_over() -> None:
    """Its predecessor was lost, and the next delivery was cut elsewhere."""
    parts = Parts(a_part(0, 150, "one"), a_part(100, 200, "stale"), a_part(150, 300, "two"))

    assert await taken_up(parts) == (300, ["one", "two"])


async def test_what_comes_after_a_lost_or_broken_part_is_heard_again() -> None:
    assert await taken_up(Parts(a_part(0, 100, "one"), a_part(200, 300, "three"))) == (100, ["one"])
    broken = Parts(a_part(0, 100, "one"), a_part(100, 200, "two"), a_part(200, 300, "three"))
    broken.parts["c-000000000100"] = b"{"
    assert await taken_up(broken) == (100, ["one"])


async def test_what_is_heard_is_kept_at_a_seam() -> None:
    parts = Parts()
    kept = await KeptTranscript.load(parts, "c", keep_every_seconds=0)

    kept.hear(Heard(1, 2, a_part(0, 100, "one").segments))
    kept.hear(Heard(2, 2, [], Seam(100, 100, "en", 1.5)))
    await kept.settle()

    again = await KeptTranscript.load(parts, "c", keep_every_seconds=0)
    assert again.seam == Seam(100, 100, "en", 1.5)
    assert again.segments == kept.segments
