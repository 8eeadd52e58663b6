"""Looking at dead letters, sending them back to work, throwing them away."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from alta_common.db.engine import Sessions
from alta_common.errors import UnavailableError
from alta_common.messaging.topology import QUEUES, dead_queue_of
from alta_outbox_relay.application.audit import OperationsAudit
from alta_outbox_relay.broker.dead_letter_box import PATIENCE_SECONDS, DeadLetterBox, Taken, opened
from alta_outbox_relay.models.dead_letter import (
    DeadLetter,
    DeadLetterFilter,
    DeadLetterNotFoundError,
    DeadLettersMovedError,
    QueueNotFoundError,
)
from alta_outbox_relay.models.operator import Operator

SOURCES = {dead_queue_of(name): name for name in QUEUES}
"""Dead queue → the queue that its messages came from."""

LOOKED_AT = 1000
"""So many messages, the oldest, are looked at for a list or for one message."""
SCANNED = 2000
"""So many are looked at for those of a filter: they are in memory meanwhile, at most 64 KiB each."""
CHANGED_AT_ONCE = 500
SHOWN_FIRST = 10

_CHUNK = 50

Position = tuple[str, int]
"""A message's id, and which of those with this id it is: duplicates are usual."""

Deed = Callable[[DeadLetterBox, Sequence[Taken]], Awaitable[UnavailableError | None]]


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """A page of a dead queue, the oldest first; `next_after` is behind what the next page begins."""

    items: list[DeadLetter]
    next_after: Position | None
    ready: int


@dataclass(frozen=True, slots=True)
class Handling:
    """Which messages of a queue to do something with, `limit` of them, among the first `scan`."""

    queue: str
    wanted: DeadLetterFilter
    limit: int = CHANGED_AT_ONCE
    scan: int = SCANNED
    dry_run: bool = False


@dataclass(slots=True)
class Handled:
    """What became of it. `remaining` is what the queue holds afterwards, of whatever kind."""

    looked_at: int = 0
    matched: int = 0
    done: int = 0
    remaining: int = 0
    is_whole_queue: bool = False
    """Everything that lay in the queue has been looked at."""
    first: list[DeadLetter] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failure: str | None = None
    """Why it stopped before it was through."""


class DeadLetterOperations:
    """Use cases around dead letters."""

    def __init__(
        self, rabbitmq_url: str, sessions: Sessions, audit: OperationsAudit, *, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._url = rabbitmq_url
        self._patience = patience
        self._sessions = sessions
        self._audit = audit

    async def list_letters(self, queue: str, after: Position | None, limit: int) -> DeadLetterPage:
        """Return a page of a queue. Raises `QueueNotFoundError`, `DeadLettersMovedError`."""
        at_most = LOOKED_AT if after else limit + 1
        async with opened(self._url, known(queue), patience=self._patience) as box:
            letters = [taken.letter async for taken in box.look(at_most)]
        places = _places(letters)
        if after is not None and after not in places:
            raise DeadLettersMovedError(
                "The message behind which this page begins is not there any more; begin with the first page."
            )
        start = places.index(after) + 1 if after else 0
        has_more = len(letters) > start + limit
        next_after = places[start + limit - 1] if has_more else None
        return DeadLetterPage(letters[start : start + limit], next_after, box.ready)

    async def get(self, queue: str, message_id: str) -> DeadLetter:
        """Return a message of a queue. Raises `QueueNotFoundError`, `DeadLetterNotFoundError`."""
        async with opened(self._url, known(queue), patience=self._patience) as box:
            async for taken in box.look(LOOKED_AT):
                if taken.letter.message_id == message_id:
                    return taken.letter
        raise _not_found(queue, message_id, LOOKED_AT)

    async def replay(self, operator: Operator, asked: Handling) -> Handled:
        """Send messages back to the queue that they came from, as they were, for a first attempt.

        Raises `QueueNotFoundError`, and `DeadLetterNotFoundError` when none of the named ones is there.
        """
        source = SOURCES[known(asked.queue)]

        async def send_back(box: DeadLetterBox, letters: Sequence[Taken]) -> UnavailableError | None:
            return await box.replay(letters, source, str(operator))

        return await self._audited(operator, asked, "dead_letters.replayed", send_back)

    async def purge(self, operator: Operator, asked: Handling) -> Handled:
        """Throw messages away. Raises what `replay` raises."""

        async def throw_away(box: DeadLetterBox, letters: Sequence[Taken]) -> None:
            await box.remove(letters)

        return await self._audited(operator, asked, "dead_letters.purged", throw_away)

    async def _audited(self, operator: Operator, asked: Handling, action: str, deed: Deed) -> Handled:
        known(asked.queue)
        handled = Handled()
        if asked.dry_run:
            await self._handle(asked, None, handled)
            return handled
        # Before, because what is done to a queue cannot be taken back when noting it fails; after, with the outcome.
        await self._note(operator, action, asked, "intended", handled)
        try:
            await self._handle(asked, deed, handled)
        finally:
            await self._note(operator, action, asked, "done", handled)
        return handled

    async def _handle(self, asked: Handling, deed: Deed | None, handled: Handled) -> None:
        chunk: list[Taken] = []
        async with opened(self._url, asked.queue, patience=self._patience) as box:
            async for taken in box.look(asked.scan):
                handled.looked_at += 1
                if asked.wanted.matches(taken.letter):
                    _count(handled, taken.letter)
                    chunk.append(taken)
                if deed and len(chunk) >= _CHUNK:
                    await _do(deed, box, chunk, handled)
                    chunk = []
                if handled.matched >= asked.limit or handled.failure:
                    break
            if deed and chunk and not handled.failure:
                await _do(deed, box, chunk, handled)
            handled.is_whole_queue = handled.looked_at >= box.ready
            handled.remaining = box.ready - box.removed
        if asked.wanted.message_ids is not None:
            handled.missing = sorted(asked.wanted.message_ids - set(handled.ids))
            if not handled.matched:
                raise _not_found(asked.queue, handled.missing[0], asked.scan)

    async def _note(self, operator: Operator, action: str, asked: Handling, phase: str, handled: Handled) -> None:
        counted = phase == "done"
        wanted = asked.wanted
        async with self._sessions.begin() as session:
            await self._audit.note(
                session,
                operator,
                action,
                subject_type="queue",
                ids=handled.ids if counted else sorted(wanted.message_ids or ()),
                queue=asked.queue,
                phase=phase,
                event_type=wanted.event_type,
                reason=wanted.reason,
                matched=handled.matched if counted else None,
                done=handled.done if counted else None,
                failure=handled.failure,
            )


def known(queue: str) -> str:
    """Return the name of a queue of dead letters. Raises `QueueNotFoundError`."""
    if queue not in SOURCES:
        raise QueueNotFoundError(f"There is no queue of dead letters {queue}; there are {', '.join(SOURCES)}.")
    return queue


def _places(letters: Sequence[DeadLetter]) -> list[Position]:
    seen: Counter[str] = Counter()
    places = []
    for letter in letters:
        seen[letter.message_id] += 1
        places.append((letter.message_id, seen[letter.message_id]))
    return places


def _count(handled: Handled, letter: DeadLetter) -> None:
    handled.matched += 1
    handled.ids.append(letter.message_id)
    if len(handled.first) < SHOWN_FIRST:
        handled.first.append(letter)


async def _do(deed: Deed, box: DeadLetterBox, letters: Sequence[Taken], handled: Handled) -> None:
    before = box.removed
    failure = await deed(box, letters)
    handled.done += box.removed - before
    if failure is not None:
        handled.failure = failure.detail


def _not_found(queue: str, message_id: str, looked_at: int) -> DeadLetterNotFoundError:
    return DeadLetterNotFoundError(f"The first {looked_at:,} messages of {queue} hold none with the id {message_id}.")
