"""What a worker's memory does over hours; each script has a process of its own, as a worker has."""

import subprocess
import sys

RESIDENT = """
import re
from pathlib import Path

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1000
"""

HOLES = """
from alta_transcription.engines.memory import be_frugal
import numpy as np

be_frugal()
# As a model's weights are freed when they are converted: the C library then takes blocks up to this size for small.
block = np.ones(30 << 20, np.uint8)
del block
before = resident()
blocks = [(np.ones(9 << 20, np.uint8), np.ones(100_000, np.uint8)) for _ in range(20)]
kept = [small for _large, small in blocks]
del blocks
print(resident() - before)
"""

LENGTHS = """
from alta_transcription.engines.memory import be_frugal
from alta_transcription.engines.whisper_config import WhisperConfig
from alta_transcription.engines.whisper_model import Listener
import numpy as np

be_frugal()
model = Listener(WhisperConfig("tiny.en"))._model

def hear(length):
    features = np.zeros((80, 3000), np.float32)
    features[:, :length] = 0.5
    model.encode(features)
    return resident()

before = hear(2800)  # the longest
for length in range(500, 1500, 20):
    after = hear(length)
print(after - before)
"""


def growth_in_megabytes(script: str) -> int:
    done = subprocess.run([sys.executable, "-c", RESIDENT + script], check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_freed_memory_leaves_no_holes_between_what_is_used() -> None:
    """180 MB are freed, each 9 of them between two blocks that stay."""
    assert growth_in_megabytes(HOLES) < 40


def test_windows_of_all_lengths_take_little_more_than_one() -> None:
    """50 lengths; compiled for each of them, the encoder would take 80 MB more."""
    assert growth_in_megabytes(LENGTHS) < 40
