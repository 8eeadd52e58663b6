"""Metrics of this service beside the shared ones. No ids in labels."""

from prometheus_client import Counter

jobs = Counter(
    "alta_ocr_jobs_total",
    "Documents done with, by outcome: completed, republished, cancelled, given_up, or a failure's code.",
    ("outcome",),
)
pages = Counter("alta_ocr_pages_total", "Pages read, by source: embedded, ocr.", ("source",))
google_pages = Counter(
    "alta_ocr_google_pages_total", "Pages that Document AI has read, and bills, by way: online, batch.", ("way",)
)
worker_restarts = Counter(
    "alta_ocr_worker_restarts_total",
    "Worker processes replaced, by reason: crashed, out_of_memory, timeout, cancelled, recycled.",
    ("reason",),
)
