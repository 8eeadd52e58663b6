"""`alta outbox`: look into the outboxes, put events back in line, take them out of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import click

from alta_outbox_relay import cli_output as output
from alta_outbox_relay.api.outbox_schemas import EventDetailsOut, EventOut
from alta_outbox_relay.application.outbox import REPLAYED_AT_ONCE, Replay, Replayed
from alta_outbox_relay.cli_run import Command, changes, operator_named, prints_json, run
from alta_outbox_relay.models.operator import Operator
from alta_outbox_relay.models.outbox_event import REPLAYABLE, EventStatus, OutboxEvent, OutboxFilter
from alta_outbox_relay.wiring import Operations

T = TypeVar("T")
Asked: TypeAlias = Sequence[tuple[str, tuple[UUID, ...]]]

_PAGE = 200


def _moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("say it as in RFC 3339: 2026-01-31T03:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _filters(command: Command) -> Command:
    for option in (
        click.option("--before", callback=_moment, help="Only those written before this moment (UTC)."),
        click.option("--after", callback=_moment, help="Only those written after this moment (UTC)."),
        click.option("--aggregate", type=click.UUID, help="Only those about this."),
        click.option("--type", "event_type", help="Only those of this type, e.g. PROJECT_CREATED."),
        click.option("--schema", help="Only this service's outbox."),
    ):
        command = option(command)
    return command


def _filter(statuses: Sequence[str], given: Mapping[str, Any]) -> OutboxFilter:
    return OutboxFilter(
        statuses=frozenset(EventStatus(status) for status in statuses),
        event_type=given["event_type"],
        aggregate_id=given["aggregate"],
        created_after=given["after"],
        created_before=given["before"],
    )


@click.group("outbox")
def outbox() -> None:
    """Look into the outboxes, put events back in line, take them out of it."""


@outbox.command("ls")
@click.option(
    "--status",
    multiple=True,
    type=click.Choice(list(EventStatus), case_sensitive=False),
    help="Only these; repeatable.",
)
@_filters
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at the most.")
@prints_json
def list_events(*, status: Sequence[str], limit: int, is_json: bool, **given: Any) -> None:
    """List events, newest first."""
    wanted = _filter(status, given)

    async def collect(operations: Operations) -> tuple[list[OutboxEvent], bool]:
        schemas = _schemas(operations, given["schema"])
        page = await operations.outbox.list_events(schemas, wanted, {}, min(limit, _PAGE))
        events = list(page.items)
        while page.positions and len(events) < limit:
            left = min(limit - len(events), _PAGE)
            page = await operations.outbox.list_events(schemas, wanted, page.positions, left)
            events += page.items
        return events, page.positions is not None

    events, has_more = run(collect)
    if is_json:
        output.as_json([EventOut.model_validate(event) for event in events])
        return
    output.events(events)
    if has_more:
        click.echo(f"… and more; --limit is {limit}", err=True)


@outbox.command("show")
@click.argument("event_id", type=click.UUID)
def show_event(event_id: UUID) -> None:
    """Show an event with its headers and what it says (always JSON)."""
    event, content = run(lambda operations: operations.outbox.get(event_id))
    output.as_json(EventDetailsOut.of_content(event, content))


@outbox.command("park")
@click.argument("event_id", type=click.UUID)
@click.option("--reason", required=True, help="Why; it is kept with the event and in the audit trail.")
@click.option("--operator", help="Who does it, for the audit trail; your account's name by default.")
@prints_json
def park_event(event_id: UUID, *, reason: str, operator: str | None, is_json: bool) -> None:
    """Take a waiting event out of its line: the later ones of its aggregate go on."""
    who = operator_named(operator)
    parked = run(lambda operations: operations.outbox.park(who, event_id, reason))
    if is_json:
        output.as_json(EventOut.model_validate(parked))
    else:
        click.echo(
            f"Parked {parked.event_type} {parked.event_id}; `alta outbox replay {parked.event_id}` puts it back."
        )


@outbox.command("replay")
@click.argument("event_ids", type=click.UUID, nargs=-1)
@click.option(
    "--status",
    type=click.Choice(sorted(REPLAYABLE), case_sensitive=False),
    help="All that are so: PARKED; FAILED (tried now); COMPLETED (published again).",
)
@_filters
@changes
def replay_events(
    event_ids: tuple[UUID, ...],
    *,
    status: str | None,
    dry_run: bool,
    yes: bool,
    operator: str | None,
    is_json: bool,
    **given: Any,
) -> None:
    """Put events back in line: those named, or all with a --status (and the other filters)."""
    _refuse_both(event_ids, status, given)
    wanted = _filter([status], given) if status else None
    who = operator_named(operator)
    asked = run(lambda operations: _by_schema(operations, event_ids, given["schema"]))
    found = run(lambda operations: _replay(operations, who, asked, wanted, dry_run=True))
    if not is_json:
        click.echo(f"{output.counted(found['matched'], 'event')}:")
        output.events(found["first"])
    if not dry_run and found["matched"]:
        if not yes:
            click.confirm(f"Put {output.counted(found['matched'], 'event')} back in line?", abort=True, err=True)
        found = run(lambda operations: _replay(operations, who, asked, wanted, dry_run=False))
        if not is_json:
            click.echo(f"Put back {found['replayed']}; {found['already_waiting']} were in line anyway.")
    if is_json:
        first = [EventOut.model_validate(event).model_dump(mode="json", by_alias=True) for event in found["first"]]
        output.as_json({"dry_run": dry_run, **found, "first": first})


def _refuse_both(event_ids: tuple[UUID, ...], status: str | None, given: Mapping[str, Any]) -> None:
    if bool(event_ids) == bool(status):
        raise click.UsageError("Name events, or say --status; not both.")
    if event_ids and (filters := sorted(name for name, value in given.items() if value is not None)):
        options = ", ".join(f"--{name.removeprefix('event_')}" for name in filters)
        raise click.UsageError(f"Events that are named need nothing else to find them: leave out {options}.")


async def _by_schema(operations: Operations, event_ids: tuple[UUID, ...], schema: str | None) -> Asked:
    if not event_ids:
        return [(name, ()) for name in _schemas(operations, schema)]
    found: dict[str, list[UUID]] = {}
    for event_id in event_ids:
        event, _ = await operations.outbox.get(event_id)
        found.setdefault(event.schema, []).append(event_id)
    return [(name, tuple(ids)) for name, ids in found.items()]


async def _replay(
    operations: Operations, who: Operator, asked: Asked, wanted: OutboxFilter | None, *, dry_run: bool
) -> dict[str, Any]:
    """Replay it all, in as many calls as it takes; a dry run needs one for each outbox."""
    total: dict[str, Any] = {"matched": 0, "replayed": 0, "already_waiting": 0, "first": []}
    for schema, event_ids in asked:
        first = True
        after: int | None = 0
        while after is not None:
            chunk = Replay(schema, event_ids, wanted, after, REPLAYED_AT_ONCE, dry_run=dry_run)
            done = await operations.outbox.replay(who, chunk)
            _add(total, done, is_first=first)
            first = False
            after = None if dry_run else done.next_after
    return total


def _add(total: dict[str, Any], done: Replayed, *, is_first: bool) -> None:
    if is_first:
        total["matched"] += done.matched
        total["first"] += done.first
    total["replayed"] += done.replayed
    total["already_waiting"] += done.already_waiting


def _schemas(operations: Operations, schema: str | None) -> tuple[str, ...]:
    known = operations.outbox.schemas
    if schema is not None and schema not in known:
        raise click.BadParameter(f"there are the outboxes of {', '.join(known)}", param_hint="--schema")
    return known if schema is None else (schema,)
