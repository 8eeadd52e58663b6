"""Settings of transcription, from the environment."""

from typing import Literal, Self

from pydantic import Field, model_validator

from alta_common.settings import GoogleSettings, RabbitmqSettings, ServiceSettings, StorageSettings


class TranscriptionSettings(ServiceSettings, RabbitmqSettings, StorageSettings, GoogleSettings):
    """What the process reads from its environment."""

    transcription_workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Worker processes, one engine of one thread each; up to 0.7 GB of memory each with tiny.en.",
    )
    transcription_engine: Literal["local", "google-speech", "google"] = Field(
        "local",
        description="Who transcribes recordings that name no engine themselves; local: faster-whisper, google: "
        "Google's Speech-to-Text.",
    )
    transcription_fallback_engine: Literal["", "local", "google-speech", "google"] = Field(
        "",
        description="Who transcribes a recording instead when its engine is away; empty: nobody, it fails. The result "
        "carries the warning fallback_engine_used. Quality differs, and so does who hears the recording.",
    )
    whisper_model: str = Field(
        "tiny.en",
        min_length=1,
        description="Folder of a Whisper model in CTranslate2's format, or a name to download it by from the Hugging "
        "Face Hub (base.en, small, or an id there). tiny.en is installed with the service.",
    )
    whisper_compute_type: Literal["int8", "int8_float32", "float32"] = Field(
        "int8", description="How the Whisper model computes; int8 is as accurate as float32 here, and faster."
    )
    audio_max_seconds: float = Field(
        43200.0,
        gt=0,
        description="Length that a recording may have. 12 hours take about 35 minutes of a core with tiny.en: keep it "
        "in step with TRANSCRIPTION_JOB_SECONDS, a larger model needs longer.",
    )
    transcription_slice_minutes: float = Field(
        20.0,
        gt=0,
        le=25,
        description="How long one delivery may transcribe; then the message goes to the end of its queue, and whoever "
        "takes it goes on from what is kept. Below the broker's consumer timeout (30 minutes).",
    )
    transcription_keep_seconds: float = Field(
        30.0, ge=0, description="How often what is transcribed is kept; a killed process costs no more than that."
    )
    transcription_job_seconds: float = Field(
        14400.0,
        gt=0,
        description="How long one recording may be worked on, in all its slices. Waiting for an operation at Google "
        "does not count; its deadline may be sooner.",
    )
    transcription_step_seconds: float = Field(
        180.0, gt=0, description="How long a worker may show no progress (a phrase, a chunk) before it is killed."
    )
    transcription_worker_memory_mb: int = Field(
        3072, ge=1024, description="Address space of a worker (RLIMIT_AS), about twice what it keeps in memory."
    )
    transcription_worker_recycle_seconds: int = Field(
        36000, ge=1, description="Seconds of audio after which a worker is replaced by a new one."
    )
    speech_model: str = Field(
        "",
        description="Model of Google's Speech-to-Text, e.g. long or chirp_2; empty: that engine is not here. It has to "
        "know word times, word confidences and punctuation.",
    )
    speech_location: str = Field("global", description="Where Google transcribes: global, us, eu or a region.")
    speech_recognizer: str = Field("_", description="Id of a recognizer there; _ is one without settings of its own.")
    speech_language: str = Field(
        "en-US", description="Language of recordings that name none, as Google is asked for it (BCP 47, with a region)."
    )
    speech_endpoint: str = Field("", description="host:port of an emulator, in plaintext; empty: Google's.")

    @model_validator(mode="after")
    def _google_speech_is_complete(self) -> Self:
        if self.speech_model and not (self.gcs_project_id and self.gcs_bucket_name):
            raise ValueError("SPEECH_MODEL needs GCS_PROJECT_ID, who pays, and GCS_BUCKET_NAME for long recordings")
        for engine in (self.transcription_engine, self.transcription_fallback_engine):
            if engine in {"google-speech", "google"} and not self.speech_model:
                raise ValueError(f"the engine {engine!r} needs SPEECH_MODEL")
        return self
