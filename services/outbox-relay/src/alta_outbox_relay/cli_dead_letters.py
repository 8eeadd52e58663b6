"""`alta dlq`: look at dead letters, send them back to work, throw them away."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click

from alta_common.messaging.topology import PROJECTS_RESULTS_QUEUE, dead_queue_of
from alta_outbox_relay import cli_output as output
from alta_outbox_relay.api.dead_letter_schemas import DeadLetterDetailsOut, DeadLetterOut, QueueOut
from alta_outbox_relay.application.dead_letters import LOOKED_AT, SCANNED, SOURCES, Handled, Handling
from alta_outbox_relay.cli_run import Command, changes, operator_named, prints_json, run
from alta_outbox_relay.models.dead_letter import DeadLetterFilter
from alta_outbox_relay.models.operator import Operator
from alta_outbox_relay.models.queue import QueueKind, QueueState
from alta_outbox_relay.wiring import Operations

# What a broker lets one consumer hold.
_MOST = 65_535
_NO_OUTBOX = (
    "Results are in no outbox: one that is thrown away comes back only when its request is replayed "
    "(alta outbox replay --status completed --type DOCUMENT_OCR_REQUESTED --aggregate ID, of a recording "
    "VOICE_TRANSCRIPTION_REQUESTED)."
)

Deed = Callable[[Operations, Operator, Handling], Awaitable[Handled]]


def _queue(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    return next((dead for dead, source in SOURCES.items() if value == source), value)


def _selection(command: Command) -> Command:
    for decorator in (
        click.option(
            "--scan",
            type=click.IntRange(1, _MOST),
            default=SCANNED,
            show_default=True,
            help="How many messages, the oldest, are looked at.",
        ),
        click.option("--all", "is_all", is_flag=True, help="All messages of the queue."),
        click.option("--reason", help="Only those that died of this, e.g. handler_timeout."),
        click.option("--type", "event_type", help="Only those of this type."),
        click.argument("message_ids", nargs=-1),
        click.argument("queue", callback=_queue),
    ):
        command = decorator(command)
    return changes(command)


@click.group("dlq")
def dead_letters() -> None:
    """Look at dead letters, send them back to work, throw them away."""


@dead_letters.command("ls")
@click.argument("queue", required=False, callback=_queue)
@click.option(
    "--limit", type=click.IntRange(1, LOOKED_AT - 1), default=50, show_default=True, help="How many messages."
)
@prints_json
def list_letters(queue: str | None, *, limit: int, is_json: bool) -> None:
    """List the queues of dead letters, or the messages of QUEUE (the oldest first)."""
    if queue is None:
        _list_queues(is_json=is_json)
        return
    page = run(lambda operations: operations.dead_letters.list_letters(queue, None, limit))
    if is_json:
        output.as_json([DeadLetterOut.model_validate(letter) for letter in page.items])
        return
    output.letters(page.items)
    if page.next_after is not None:
        click.echo(f"… of {page.ready}; --limit is {limit}", err=True)


def _list_queues(*, is_json: bool) -> None:
    async def measure(operations: Operations) -> Sequence[QueueState]:
        return [state for state in await operations.queues.measure() if state.kind is QueueKind.DEAD]

    found = run(measure)
    if is_json:
        output.as_json([QueueOut.model_validate(state) for state in found])
    else:
        output.queues(found)


@dead_letters.command("show")
@click.argument("queue", callback=_queue)
@click.argument("message_id")
def show_letter(queue: str, message_id: str) -> None:
    """Show a message with its headers and what it says (always JSON)."""
    letter = run(lambda operations: operations.dead_letters.get(queue, message_id))
    output.as_json(DeadLetterDetailsOut.of_letter(letter))


@dead_letters.command("replay")
@_selection
def replay_letters(**given: Any) -> None:
    """Send messages back to the queue that they came from, for a first attempt."""
    _handle(given, "Send back", lambda operations, who, asked: operations.dead_letters.replay(who, asked))


@dead_letters.command("purge")
@_selection
def purge_letters(**given: Any) -> None:
    """Throw messages away for good. Most events stay in their outbox for a while; results are in none."""
    if given["queue"] == dead_queue_of(PROJECTS_RESULTS_QUEUE):
        click.echo(_NO_OUTBOX, err=True)
    _handle(given, "Throw away", lambda operations, who, asked: operations.dead_letters.purge(who, asked))


def _handle(given: dict[str, Any], verb: str, deed: Deed) -> None:
    who = operator_named(given["operator"])
    planned = _asked(given, dry_run=True)
    handled = run(lambda operations: deed(operations, who, planned))
    if not given["is_json"]:
        click.echo(f"{output.counted(handled.matched, 'message')} of {planned.queue}:")
        output.letters(handled.first)
    if not given["dry_run"] and handled.matched:
        if not given["yes"]:
            click.confirm(f"{verb} {output.counted(handled.matched, 'message')}?", abort=True, err=True)
        asked = _asked(given, dry_run=False)
        handled = run(lambda operations: deed(operations, who, asked))
        if not given["is_json"]:
            left = output.counted(handled.remaining, "message")
            click.echo(f"{verb}: {handled.done} done, {left} left in {asked.queue}.")
    _conclude(given, handled)


def _conclude(given: dict[str, Any], handled: Handled) -> None:
    if given["is_json"]:
        first = [DeadLetterOut.model_validate(letter).model_dump(mode="json") for letter in handled.first]
        names = ("looked_at", "matched", "done", "remaining", "is_whole_queue", "missing", "failure")
        said = {name: getattr(handled, name) for name in names}
        output.as_json({"dry_run": given["dry_run"], **said, "first": first})
    elif not handled.is_whole_queue:
        click.echo(f"Only {handled.looked_at} messages were looked at; --scan looks at more.", err=True)
    if handled.missing:
        click.echo(f"Not found: {', '.join(map(output.cell, handled.missing))}", err=True)
    if handled.failure:
        raise click.ClickException(f"It stopped early: {handled.failure}")


def _asked(given: dict[str, Any], *, dry_run: bool) -> Handling:
    ids, is_filtered = given["message_ids"], bool(given["event_type"] or given["reason"])
    if bool(ids) + bool(is_filtered or given["is_all"]) != 1:
        raise click.UsageError("Name messages, or say which with --type and --reason, or --all.")
    wanted = DeadLetterFilter(given["event_type"], given["reason"], frozenset(ids) if ids else None)
    return Handling(given["queue"], wanted, limit=given["scan"], scan=given["scan"], dry_run=dry_run)
