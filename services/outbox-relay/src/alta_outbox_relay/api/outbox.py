"""Routes of the outboxes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from alta_common.errors import FieldError, InvalidError
from alta_common.http.pagination import Cursor, InvalidCursorError, Limit, Page, decode_cursor, encode_cursor
from alta_outbox_relay.api.deps import App, Reader, Writer, no_store
from alta_outbox_relay.api.fields import Moment, Word
from alta_outbox_relay.api.outbox_schemas import EventDetailsOut, EventOut, ParkIn, ReplayIn, ReplayOut
from alta_outbox_relay.api.responses import problems
from alta_outbox_relay.application.outbox import Replay
from alta_outbox_relay.models.outbox_event import EventStatus, OutboxFilter

router = APIRouter(prefix="/v1/admin/outbox", tags=["Operations"], dependencies=[Depends(no_store)])

_LARGEST_ID = 2**63 - 1


@router.get("", responses=problems(r403="You are no administrator of the platform."))
async def list_events(
    _: Reader,
    app: App,
    *,
    outbox: Annotated[Word | None, Query(alias="schema", description="Only those of this service's outbox.")] = None,
    status: Annotated[list[EventStatus] | None, Query(description="Only these; may be given several times.")] = None,
    event_type: Annotated[Word | None, Query(description="Only those of this type.")] = None,
    aggregate_id: Annotated[UUID | None, Query(description="Only those about this.")] = None,
    created_after: Annotated[Moment | None, Query(description="Only those written after this moment.")] = None,
    created_before: Annotated[Moment | None, Query(description="Only those written before this moment.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[EventOut]:
    """List events, newest first.

    A page may hold fewer than `limit`, or nothing, and still name a next one: few events in many have the status.
    """
    schemas = app.outbox.schemas if outbox is None else (_known(app, outbox, "/query/schema"),)
    wanted = OutboxFilter(frozenset(status or ()), event_type, aggregate_id, created_after, created_before)
    found = await app.outbox.list_events(schemas, wanted, _positions(cursor, schemas), limit)
    items = [EventOut.model_validate(event) for event in found.items]
    return Page(items=items, next_cursor=encode_cursor(found.positions) if found.positions else None)


@router.get("/{event_id}", responses=problems(r404="No outbox holds such an event."))
async def get_event(event_id: UUID, _: Reader, app: App) -> EventDetailsOut:
    """Read an event with what it says."""
    return EventDetailsOut.of_content(*await app.outbox.get(event_id))


@router.post("/replay", responses=problems(r404="An event that is named is not in this outbox; nothing was done."))
async def replay_events(body: ReplayIn, operator: Writer, app: App) -> ReplayOut:
    """Put events back in line: parked ones, failed ones (which are tried now), published ones (published again).

    Consumers know an event by its id, so publishing it twice has one effect. Asking twice is as harmless, and is
    audited twice; there is no `Idempotency-Key`. What a filter finds is replayed in calls of up to 500: send
    `next_cursor` until it is null. Content is never edited.
    """
    asked = Replay(
        schema=_known(app, body.outbox, "/schema"),
        event_ids=body.event_ids or (),
        wanted=body.filter.to_filter() if body.filter else None,
        after=_after(body.cursor),
        limit=body.limit,
        dry_run=body.dry_run,
    )
    done = await app.outbox.replay(operator, asked)
    return ReplayOut(
        dry_run=body.dry_run,
        matched=done.matched,
        selected=done.selected,
        replayed=done.replayed,
        already_waiting=done.already_waiting,
        first=[EventOut.model_validate(event) for event in done.first],
        next_cursor=encode_cursor({"after": done.next_after}) if done.next_after is not None else None,
    )


@router.post(
    "/{event_id}/park",
    responses=problems(
        r404="No outbox holds such an event.",
        r409="It is not PENDING or FAILED (`event_not_waiting`): a relay is publishing it, or it has left its line.",
    ),
)
async def park_event(event_id: UUID, body: ParkIn, operator: Writer, app: App) -> EventOut:
    """Take an event out of its line, so that the later ones of its aggregate go on; a replay puts it back."""
    return EventOut.model_validate(await app.outbox.park(operator, event_id, body.reason))


def _known(app: App, schema: str, pointer: str) -> str:
    if schema not in app.outbox.schemas:
        detail = f"There is no outbox of {schema}; there are those of {', '.join(app.outbox.schemas)}."
        raise InvalidError(detail, [FieldError(pointer, detail)])
    return schema


def _positions(cursor: str | None, schemas: tuple[str, ...]) -> dict[str, int]:
    if cursor is None:
        return {}
    positions = decode_cursor(cursor)
    if not positions or not positions.keys() <= set(schemas):
        raise InvalidCursorError
    return {schema: _number(position) for schema, position in positions.items()}


def _after(cursor: str | None) -> int:
    return 0 if cursor is None else _number(decode_cursor(cursor).get("after"))


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _LARGEST_ID:
        raise InvalidCursorError
    return value
