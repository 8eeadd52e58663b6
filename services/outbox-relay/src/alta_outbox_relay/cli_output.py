"""What the command line prints: tables for people, JSON for programs."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click
import orjson
from pydantic import BaseModel

from alta_common.clock import utc_now
from alta_outbox_relay.models.dead_letter import DeadLetter
from alta_outbox_relay.models.outbox_event import OutboxEvent
from alta_outbox_relay.models.queue import QueueState

_WIDEST = 60
_EVENT_COLUMNS = ("SCHEMA", "ID", "EVENT", "TYPE", "STATUS", "ATTEMPTS", "AGE", "AGGREGATE", "ERROR")
_QUEUE_COLUMNS = ("QUEUE", "KIND", "READY", "UNACKED", "CONSUMERS", "OLDEST")
_LETTER_COLUMNS = ("MESSAGE", "TYPE", "REASON", "ATTEMPTS", "AGE", "BYTES", "ERROR")


def as_json(value: BaseModel | Sequence[BaseModel] | dict[str, Any]) -> None:
    """Print JSON, indented."""
    if isinstance(value, BaseModel):
        plain: Any = value.model_dump(mode="json", by_alias=True)
    elif isinstance(value, dict):
        plain = value
    else:
        plain = [one.model_dump(mode="json", by_alias=True) for one in value]
    click.echo(orjson.dumps(plain, option=orjson.OPT_INDENT_2).decode())


def events(found: Iterable[OutboxEvent]) -> None:
    """Print events, a line each."""
    rows = [
        (
            event.schema,
            str(event.id),
            str(event.event_id),
            event.event_type,
            event.status.value,
            str(event.attempts),
            age(event.created_at),
            str(event.aggregate_id),
            event.last_error or "",
        )
        for event in found
    ]
    table(_EVENT_COLUMNS, rows)


def queues(found: Iterable[QueueState]) -> None:
    """Print queues, a line each; ? is what nobody can say."""
    rows = [
        (
            queue.name,
            queue.kind.value,
            _known(queue.ready) if queue.is_declared else "not declared",
            _known(queue.unacknowledged),
            _known(queue.consumers),
            _oldest(queue),
        )
        for queue in found
    ]
    table(_QUEUE_COLUMNS, rows)


def letters(found: Iterable[DeadLetter]) -> None:
    """Print dead letters, a line each."""
    rows = [
        (
            letter.message_id,
            letter.event_type or "?",
            letter.reason or "?",
            "?" if letter.attempts is None else str(letter.attempts),
            age(letter.failed_at),
            str(letter.size_bytes),
            letter.error or "",
        )
        for letter in found
    ]
    table(_LETTER_COLUMNS, rows)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in aligned columns."""
    shown = [columns, *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[number]) for row in shown) for number in range(len(columns))]
    for row in shown:
        cells = [value.ljust(width) for value, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def cell(value: str) -> str:
    """Return a value on one line, without what could steer a terminal: it may come from anywhere."""
    plain = "".join(character if character.isprintable() else "·" for character in value)
    return plain if len(plain) <= _WIDEST else plain[: _WIDEST - 1] + "…"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def age(moment: datetime | None) -> str:
    """Return how long ago something was."""
    return "?" if moment is None else duration(max(0.0, (utc_now() - moment).total_seconds()))


def duration(seconds: float) -> str:
    """Return a length of time in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _oldest(queue: QueueState) -> str:
    if not queue.ready:
        return ""
    return "?" if queue.head_age_seconds is None else duration(queue.head_age_seconds)


def _known(number: int | None) -> str:
    return "?" if number is None else str(number)
