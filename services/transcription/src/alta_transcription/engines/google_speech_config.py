"""How Google Speech-to-Text v2 is asked: which recognizer and model, for which language, with which features."""

import hashlib
from dataclasses import asdict, dataclass

import orjson
from google.cloud.speech_v2 import AutoDetectDecodingConfig, RecognitionConfig, RecognitionFeatures

GLOBAL = "global"

# Google's models want a region with a language; people and browsers often give none.
_REGIONS = {
    "ar": "EG",
    "bg": "BG",
    "cs": "CZ",
    "da": "DK",
    "de": "DE",
    "el": "GR",
    "en": "US",
    "es": "ES",
    "fi": "FI",
    "fr": "FR",
    "he": "IL",
    "hi": "IN",
    "hu": "HU",
    "id": "ID",
    "it": "IT",
    "ja": "JP",
    "ko": "KR",
    "nb": "NO",
    "nl": "NL",
    "no": "NO",
    "pl": "PL",
    "pt": "BR",
    "ro": "RO",
    "ru": "RU",
    "sk": "SK",
    "sv": "SE",
    "th": "TH",
    "tr": "TR",
    "uk": "UA",
    "vi": "VN",
}


@dataclass(frozen=True)
class GoogleSpeechConfig:
    """What the operator chose. `language` is the one of recordings that name none (BCP 47)."""

    project: str
    location: str
    recognizer: str
    model: str
    language: str

    @property
    def endpoint(self) -> str:
        """Return the host that serves the location."""
        return "speech.googleapis.com" if self.location == GLOBAL else f"{self.location}-speech.googleapis.com"

    @property
    def recognizer_name(self) -> str:
        """Return the resource name of the recognizer; `_` is one without settings of its own."""
        return f"projects/{self.project}/locations/{self.location}/recognizers/{self.recognizer}"

    @property
    def hash(self) -> str:
        """Return a short digest of everything of ours that the answer depends on; not whose project pays for it."""
        settings = {name: value for name, value in asdict(self).items() if name != "project"}
        features = RecognitionFeatures.to_dict(_features())
        return hashlib.sha256(orjson.dumps([settings, features], option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def recognition(self, language: str | None, *, separate: bool = False) -> RecognitionConfig:
        """Return what to ask for a recording in `language`; None: in the operator's. Of its channels each, or one."""
        return RecognitionConfig(
            auto_decoding_config=AutoDetectDecodingConfig(),
            model=self.model,
            language_codes=[self._with_region(language or self.language)],
            features=_features(separate=separate),
        )

    def _with_region(self, language: str) -> str:
        if "-" in language:
            return language
        if self.language.lower().startswith(f"{language.lower()}-"):
            return self.language
        region = _REGIONS.get(language.lower())
        return language if region is None else f"{language.lower()}-{region}"


def _features(*, separate: bool = False) -> RecognitionFeatures:
    modes = RecognitionFeatures.MultiChannelMode
    return RecognitionFeatures(
        enable_word_time_offsets=True,
        enable_word_confidence=True,
        enable_automatic_punctuation=True,
        multi_channel_mode=modes.SEPARATE_RECOGNITION_PER_CHANNEL if separate else None,
    )
