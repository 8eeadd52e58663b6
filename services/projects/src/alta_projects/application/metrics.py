"""Metrics of this service alone."""

from prometheus_client import Counter, Gauge

uploads_accepted = Counter("alta_uploads_accepted_total", "Files taken in, by kind.", ("kind",))
upload_bytes = Counter("alta_upload_bytes_total", "Bytes of the files taken in, by kind.", ("kind",))
objects_swept = Counter("alta_objects_swept_total", "Objects removed from the store by the sweep.")
runs_called_off = Counter("alta_runs_called_off_total", "Runs that the engines were told to leave.", ("kind", "reason"))
failures_told = Counter("alta_failures_told_total", "Failed items that their owners were written to about.")
live_streams = Gauge("alta_live_streams", "Event streams that are open.")
