"""Metrics of this service beside the shared ones. No ids in labels."""

from prometheus_client import Counter

jobs = Counter(
    "alta_transcription_jobs_total",
    "Recordings done with, by outcome: completed, republished, cancelled, given_up, or a failure's code.",
    ("outcome",),
)
audio_seconds = Counter("alta_transcription_audio_seconds_total", "Seconds of audio transcribed.", ("engine",))
google_billed_seconds = Counter(
    "alta_transcription_google_billed_seconds_total", "Seconds of audio that Google says it bills.", ("model",)
)
worker_restarts = Counter(
    "alta_transcription_worker_restarts_total",
    "Worker processes replaced, by reason: crashed, out_of_memory, timeout, cancelled, recycled.",
    ("reason",),
)
