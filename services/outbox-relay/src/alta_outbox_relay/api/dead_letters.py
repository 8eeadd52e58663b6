"""Routes of dead letters."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from alta_common.http.pagination import Cursor, InvalidCursorError, Limit, decode_cursor, encode_cursor
from alta_outbox_relay.api.dead_letter_schemas import (
    DeadLetterDetailsOut,
    DeadLetterOut,
    DeadLetterPageOut,
    DeadLetterQueueOut,
    DeadLetterQueuesOut,
    DeadLettersIn,
    HandledOut,
)
from alta_outbox_relay.api.deps import App, Reader, Writer, no_store
from alta_outbox_relay.api.fields import DeadQueue
from alta_outbox_relay.api.responses import problems
from alta_outbox_relay.application.dead_letters import SOURCES, Handled, Handling, Position

router = APIRouter(prefix="/v1/admin/dead-letters", tags=["Operations"], dependencies=[Depends(no_store)])

_BUSY = "Somebody else works on this queue at the moment (`dead_letters_busy`)."
_READING = problems(r404="There is no such queue, or no such message in it.", r409=_BUSY)
_CHANGING = problems(r404="There is no such queue, or none of the messages that are named.", r409=_BUSY)

MessageId = Annotated[str, Path(max_length=128, description="As the list has it.")]


@router.get("", responses=problems(r503="RabbitMQ does not answer."))
async def list_dead_letter_queues(_: Reader, app: App) -> DeadLetterQueuesOut:
    """List the queues of dead letters and how many messages lie in each."""
    states = {state.name: state for state in await app.queues.measure()}
    items = [
        DeadLetterQueueOut(
            queue=name,
            source=source,
            messages=states[name].ready or 0,
            oldest_age_seconds=states[name].head_age_seconds,
        )
        for name, source in SOURCES.items()
    ]
    return DeadLetterQueuesOut(items=items)


@router.get(
    "/{queue}",
    responses=_READING
    | problems(r409=f"{_BUSY} Or what the cursor stands for has left the queue (`dead_letters_moved`)."),
)
async def list_dead_letters(
    queue: DeadQueue, _: Reader, app: App, limit: Limit = 50, cursor: Cursor = None
) -> DeadLetterPageOut:
    """List the messages of a queue, the oldest first. They stay where they are."""
    found = await app.dead_letters.list_letters(queue, _position(cursor), limit)
    next_cursor = None
    if found.next_after is not None:
        message_id, number = found.next_after
        next_cursor = encode_cursor({"after": message_id, "number": number})
    items = [DeadLetterOut.model_validate(letter) for letter in found.items]
    return DeadLetterPageOut(items=items, next_cursor=next_cursor, ready=found.ready)


@router.get("/{queue}/{message_id}", responses=_READING)
async def get_dead_letter(queue: DeadQueue, message_id: MessageId, _: Reader, app: App) -> DeadLetterDetailsOut:
    """Read a message with its headers and what it says. It stays where it is."""
    return DeadLetterDetailsOut.of_letter(await app.dead_letters.get(queue, message_id))


@router.post("/{queue}/replay", responses=_CHANGING)
async def replay_dead_letters(queue: DeadQueue, body: DeadLettersIn, operator: Writer, app: App) -> HandledOut:
    """Send messages back to the queue that they came from, for a first attempt.

    A copy is published and confirmed before the dead letter goes: what fails in between makes a duplicate, which
    consumers know by its id, never a loss. Asking twice is harmless and audited twice; there is no `Idempotency-Key`.
    """
    asked = _handling(queue, body)
    return _handled(asked, await app.dead_letters.replay(operator, asked))


@router.post("/{queue}/purge", responses=_CHANGING)
async def purge_dead_letters(queue: DeadQueue, body: DeadLettersIn, operator: Writer, app: App) -> HandledOut:
    """Throw messages away for good. What they were about stays undone.

    The event itself stays in its outbox for `OUTBOX_RETENTION_DAYS` and can be replayed from there. Not so results, in
    `projects_results_queue.dead`: engines have no outbox. A result comes back only when its request
    (`DOCUMENT_OCR_REQUESTED`, `VOICE_TRANSCRIPTION_REQUESTED`) is replayed: the engine then publishes what it stored.
    """
    asked = _handling(queue, body)
    return _handled(asked, await app.dead_letters.purge(operator, asked))


def _handling(queue: str, body: DeadLettersIn) -> Handling:
    return Handling(queue, body.to_filter(), limit=body.limit, dry_run=body.dry_run)


def _handled(asked: Handling, done: Handled) -> HandledOut:
    first = [DeadLetterOut.model_validate(letter) for letter in done.first]
    values = {name: value for name, value in asdict(done).items() if name not in {"first", "ids"}}
    return HandledOut(dry_run=asked.dry_run, first=first, **values)


def _position(cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    said = decode_cursor(cursor)
    message_id, number = said.get("after"), said.get("number")
    if not isinstance(message_id, str) or not isinstance(number, int):
        raise InvalidCursorError
    return message_id, number
