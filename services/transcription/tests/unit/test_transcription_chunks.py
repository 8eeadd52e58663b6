import numpy as np

from alta_transcription.engines.audio import SAMPLE_RATE
from alta_transcription.engines.chunks import Chunk, cut_into_chunks, quietest_point


def blocks_of(samples: np.ndarray, size: int = 997) -> list[np.ndarray]:
    return [samples[start : start + size] for start in range(0, samples.size, size)]


def loud(samples: np.ndarray) -> list[tuple[int, int]]:
    """Where it is loud, somebody speaks."""
    edges = np.flatnonzero(np.diff((np.abs(samples) > 0.1).astype(int), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_no_sample_is_lost_or_moved() -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, 100_003).astype(np.float32)

    chunks = list(cut_into_chunks(blocks_of(samples), loud, chunk_samples=10_000, search_samples=2_000))

    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), samples)
    assert all(chunk.samples.size <= 10_000 for chunk in chunks)
    assert [chunk.start for chunk in chunks[1:]] == list(np.cumsum([chunk.samples.size for chunk in chunks])[:-1])


def test_a_chunk_ends_where_nobody_speaks() -> None:
    talk = np.full(SAMPLE_RATE * 20, 0.5, dtype=np.float32)
    pause = slice(SAMPLE_RATE * 8, SAMPLE_RATE * 9)
    talk[pause] = 0.01

    first, *_ = cut_into_chunks(blocks_of(talk), loud, chunk_samples=SAMPLE_RATE * 10, search_samples=SAMPLE_RATE * 4)

    assert first.samples.size / SAMPLE_RATE == 8.5


def test_the_longest_pause_wins() -> None:
    talk = np.full(SAMPLE_RATE * 10, 0.5, dtype=np.float32)
    talk[SAMPLE_RATE * 2 : SAMPLE_RATE * 3] = 0.01
    talk[SAMPLE_RATE * 5 : SAMPLE_RATE * 7] = 0.01

    assert quietest_point(talk, loud) == SAMPLE_RATE * 6


def test_without_any_pause_it_is_cut_where_it_is_quietest() -> None:
    talk = np.full(SAMPLE_RATE * 10, 0.9, dtype=np.float32)
    talk[SAMPLE_RATE * 8 : SAMPLE_RATE * 8 + SAMPLE_RATE // 10] = 0.2

    cut = quietest_point(talk, loud)

    assert 8.0 <= cut / SAMPLE_RATE <= 8.1


def test_silence_needs_no_model() -> None:
    def never(_: np.ndarray) -> list[tuple[int, int]]:
        raise AssertionError

    silence = np.zeros(50_000, dtype=np.float32)
    chunks = list(cut_into_chunks([silence], never, chunk_samples=20_000, search_samples=5_000))

    assert [chunk.samples.size for chunk in chunks] == [20_000, 20_000, 10_000]
    assert all(chunk.is_silent for chunk in chunks)
    assert not Chunk(0, np.full(10, -0.5, dtype=np.float32)).is_silent


def test_nothing_gives_no_chunk() -> None:
    assert list(cut_into_chunks([], loud)) == []
