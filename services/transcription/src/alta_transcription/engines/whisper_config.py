"""How the Whisper model is run, on both sides of the process boundary."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from alta_common.contracts.projects import Channels

BUNDLED_MODEL = "tiny.en"

TEMPERATURES = (0.0, 0.4, 0.8)
"""Tried in turn while an answer fails the model's own checks. Six steps and five samples each, as is usual, cost five
times as much where the language is not the model's, and found no more words."""

SAMPLES_ABOVE_ZERO = 2

LISTENING = 3
"""The way in which sound is levelled and cut (`levels`, `voice`, `windows`): a result tells by what it was made."""


@dataclass(frozen=True)
class WhisperConfig:
    """Which model, and how it computes. `model` is the path of a converted model, or a name to find one by."""

    model: str
    compute_type: str = "int8"

    @property
    def model_name(self) -> str:
        """Return what the model is called in results."""
        return BUNDLED_MODEL if self.model == BUNDLED_MODEL else Path(self.model).name

    def hash_of(self, channels: Channels) -> str:
        """Return a short digest of everything that the answer depends on beside the recording and its language."""
        settings = {
            **asdict(self),
            "model": self.model_name,
            "beam_size": 1,
            "temperatures": TEMPERATURES,
            "best_of": SAMPLES_ABOVE_ZERO,
            "listening": LISTENING,
            "condition_on_previous_text": False,
            "word_timestamps": True,
            "no_speech_threshold": None,
            "channels": channels,
        }
        return hashlib.sha256(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
