import numpy as np

from alta_transcription.engines.audio import SAMPLE_RATE
from alta_transcription.engines.chunks import Chunk, cut_into_chunks


def blocks_of(samples: np.ndarray, size: int = 997) -> list[np.ndarray]:
    return [samples[start : start + size] for start in range(0, samples.size, size)]


def in_the_middle(samples: np.ndarray) -> int:
    return samples.size // 2


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, count).astype(np.float32)


def chunks_of(samples: np.ndarray, begin: int = 0) -> list[Chunk]:
    chunks = cut_into_chunks(blocks_of(samples), in_the_middle, begin=begin, chunk_samples=10_000, search_samples=2_000)
    return [Chunk(chunk.start, chunk.samples.copy()) for chunk in chunks]


def test_no_sample_is_lost_or_moved() -> None:
    samples = noise(100_003)

    chunks = chunks_of(samples)

    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), samples)
    assert all(chunk.samples.size <= 10_000 for chunk in chunks)
    assert [chunk.end for chunk in chunks[:-1]] == [chunk.start for chunk in chunks[1:]]


def test_a_full_chunk_is_cut_near_its_end_where_it_is_best() -> None:
    first, *_ = chunks_of(noise(20_000))

    assert first.end == 9_000


def test_chunks_can_begin_at_a_seam() -> None:
    samples = noise(50_000)
    whole = chunks_of(samples)
    seam = whole[2].end

    rest = chunks_of(samples, begin=seam)

    assert [(chunk.start, chunk.samples.sum()) for chunk in rest] == [
        (chunk.start, chunk.samples.sum()) for chunk in whole[3:]
    ]
    assert chunks_of(samples, begin=samples.size) == []


def test_silence_needs_no_model() -> None:
    def never(_: np.ndarray) -> int:
        raise AssertionError

    silence = np.zeros(50_000, dtype=np.float32)
    chunks = [
        (chunk.samples.size, chunk.is_silent)
        for chunk in cut_into_chunks([silence], never, chunk_samples=20_000, search_samples=5_000)
    ]

    assert chunks == [(20_000, True), (20_000, True), (10_000, True)]
    assert not Chunk(0, np.full(10, -0.5, dtype=np.float32)).is_silent


def test_nothing_gives_no_chunk() -> None:
    assert list(cut_into_chunks([], in_the_middle)) == []


def test_hours_go_through_one_buffer() -> None:
    minute = np.full(SAMPLE_RATE, 0.1, dtype=np.float32)
    chunks = cut_into_chunks([minute] * 5, in_the_middle, chunk_samples=SAMPLE_RATE, search_samples=SAMPLE_RATE // 2)

    buffers = [chunk.samples.base for chunk in chunks]

    assert len(buffers) > 5
    assert all(buffer is not None and buffer is buffers[0] for buffer in buffers)
