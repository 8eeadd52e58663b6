"""The names of queues and exchanges, and who hears what: no client library needed to know it."""

from collections.abc import Mapping

DEAD_LETTER_EXCHANGE = "alta.dlx"
ORDERED_MARK = "alta.ordered"
"""An exchange that leads nowhere: it is there once any queue has been spread over partitions."""

OCR_QUEUE = "ocr_queue"
TRANSCRIPTION_QUEUE = "transcription_queue"
EMAIL_QUEUE = "email_queue"
WEBHOOK_QUEUE = "webhook_queue"
PROJECTS_RESULTS_QUEUE = "projects_results_queue"
DEFAULT_QUEUE = "default"

QUEUES: Mapping[str, tuple[str, ...]] = {
    OCR_QUEUE: ("projects.document.ocr_requested.v1",),
    TRANSCRIPTION_QUEUE: ("projects.voice.transcription_requested.v1",),
    EMAIL_QUEUE: (
        "identity.email.requested.v1",
        "projects.email.requested.v1",
        "identity.user.registered.v1",
        "projects.project.created.v1",
    ),
    WEBHOOK_QUEUE: ("projects.webhook.requested.v1",),
    PROJECTS_RESULTS_QUEUE: ("ocr.document.*.v1", "transcription.voice.*.v1", "identity.user.registered.v1"),
    DEFAULT_QUEUE: (),
}
"""Queue → the routing keys that it is bound with. `default` takes general tasks, sent to it by name."""

BROADCASTS: Mapping[str, tuple[str, ...]] = {
    "ocr": ("projects.document.ocr_cancelled.v1",),
    "transcription": ("projects.voice.transcription_cancelled.v1",),
}
"""Service → the routing keys of which each of its processes hears every message, on a queue of its own.

Such a queue exists while its process listens. Nobody may be there to hear: a publisher must not take that for a fault.
"""

CONSUMERS: Mapping[str, str] = {
    OCR_QUEUE: "ocr",
    TRANSCRIPTION_QUEUE: "transcription",
    EMAIL_QUEUE: "notifications",
    PROJECTS_RESULTS_QUEUE: "projects",
}
"""Queue → the service that consumes it. Nobody consumes `webhook_queue` and `default` yet."""


def exchange_of(binding: str) -> str:
    """Return the exchange that a routing key or binding belongs to: its first word names the publishing context."""
    return binding.partition(".")[0] + ".events"


def dead_queue_of(queue: str) -> str:
    """Return the name of the queue where messages that `queue` could not handle wait for a person."""
    return f"{queue}.dead"


def queues_for(routing_key: str) -> list[str]:
    """Return the queues that hear a routing key."""
    return [queue for queue, bindings in QUEUES.items() if any(_matches(one, routing_key) for one in bindings)]


def is_broadcast(routing_key: str) -> bool:
    """Say whether a routing key is heard by processes, of which there may be none, and not by a queue."""
    return any(_matches(one, routing_key) for bindings in BROADCASTS.values() for one in bindings)


def _matches(binding: str, routing_key: str) -> bool:
    words, asked = binding.split("."), routing_key.split(".")
    return len(words) == len(asked) and all(word in {"*", given} for word, given in zip(words, asked, strict=True))


def ordered_exchange_of(queue: str) -> str:
    """Return the name of the exchange that spreads a queue's events over its partitions, where it has some."""
    return f"{queue}.ordered"
