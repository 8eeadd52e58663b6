"""What this service counts beyond what all consumers do."""

from prometheus_client import Counter, Histogram

mails = Counter("alta_mails_total", "Mails, by what became of them: sent, duplicate, refused.", ("template", "outcome"))
smtp_duration = Histogram(
    "alta_smtp_seconds", "Time to hand one mail over.", buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
)
