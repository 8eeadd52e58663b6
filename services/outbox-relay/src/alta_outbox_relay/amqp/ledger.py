"""What was sent and is not confirmed yet, by its delivery tag."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat, takewhile
from typing import Protocol
from uuid import UUID

from alta_outbox_relay.amqp.errors import ProtocolError
from alta_outbox_relay.event import Failure, PendingEvent


class Sink(Protocol):
    """Who hears what became of sent events. Called on the event loop; must neither block nor raise."""

    def confirmed(self, events: list[PendingEvent], /) -> None:
        """The broker has them safe."""

    def refused(self, failure: Failure, /) -> None:
        """No queue hears it, or it was nacked: it may be tried again."""

    def faulty(self, failure: Failure, /) -> None:
        """It is wrong in itself, and was not sent. May be called from within `Publisher.send`."""

    def lost(self, events: list[PendingEvent], /) -> None:
        """The connection ended before their confirm: they may have arrived or not."""


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """Events of one schema that were handed over together."""

    sink: Sink
    schema: str
    at: float
    """By `time.perf_counter`."""
    at_nanos: int
    """By `time.time_ns`."""


Entry = tuple[PendingEvent, Sent]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that the broker did not take."""

    entry: Entry
    returned: bool
    """Whether it came back because no queue hears it; else it was nacked."""
    reason: str


class Ledger:
    """The events of one channel between publish and confirm. Tags count from 1, as the broker counts them."""

    def __init__(self) -> None:
        self.unconfirmed: dict[int, Entry] = {}
        self.last = 0
        self.confirmed: list[Entry] = []
        """Confirmed and not told to anybody yet; whoever tells takes the list."""
        self.refused: list[Refusal] = []
        """As `confirmed`."""
        self._first = 1
        self._returned: dict[int, str] = {}
        # Tags by event, of what was sent up to a tag; kept only where something comes back.
        self._tags: dict[UUID, list[int]] = {}
        self._indexed = 0

    def enter(self, events: Sequence[PendingEvent], sent: Sent) -> None:
        """Note what is sent next."""
        tags = range(self.last + 1, self.last + len(events) + 1)
        self.unconfirmed.update(zip(tags, zip(events, repeat(sent)), strict=True))
        self.last += len(events)

    def ack(self, tag: int, multiple: bool) -> None:
        """Take a confirm: of one tag, or (`multiple`) of all up to it. Raises `ProtocolError`."""
        for one in self._meant(tag, multiple):
            entry = self.unconfirmed.pop(one, None)
            if entry is None:
                continue
            reason = self._returned.pop(one, None) if self._returned else None
            if reason is None:
                self.confirmed.append(entry)
            else:
                self.refused.append(Refusal(entry, returned=True, reason=reason))

    def nack(self, tag: int, multiple: bool) -> None:
        """Take a refusal, as `ack`."""
        for one in self._meant(tag, multiple):
            entry = self.unconfirmed.pop(one, None)
            if entry is not None:
                returned = self._returned.pop(one, None)
                reason = returned or "the broker refused it (nack)"
                self.refused.append(Refusal(entry, returned=returned is not None, reason=reason))

    def give_back(self, message_id: str, reason: str) -> None:
        """Note that a message came back: its ack, which follows, means that it was refused. Raises `ProtocolError`."""
        try:
            event_id = UUID(message_id)
        except ValueError:
            raise ProtocolError(f"a message came back that we never sent: {message_id!r}") from None
        self._index()
        tags = self._tags.get(event_id)
        while tags:
            tag = tags.pop(0)
            if tag in self.unconfirmed:
                self._returned[tag] = reason
                return
        # Whichever it was, its ack would be taken for a confirm.
        raise ProtocolError(f"a message came back that is not on its way: {message_id}")

    def abandon(self) -> list[Entry]:
        """Return what will never be confirmed any more, and forget it."""
        entries = list(self.unconfirmed.values())
        self.unconfirmed.clear()
        return entries

    def _index(self) -> None:
        """Note the tags of what was sent since the last time. Each is looked at once, or twice."""
        if len(self._tags) > 2 * len(self.unconfirmed):
            self._tags.clear()
            self._indexed = 0
        new = list(takewhile(self._indexed.__lt__, reversed(self.unconfirmed)))
        for tag in reversed(new):
            if tag not in self._returned:
                self._tags.setdefault(self.unconfirmed[tag][0].event_id, []).append(tag)
        self._indexed = self.last

    def _meant(self, tag: int, multiple: bool) -> Iterable[int]:
        if tag > self.last:
            raise ProtocolError(f"a confirm of message {tag}, but only {self.last} were sent")
        if not multiple:
            return (tag,)
        # Tag 0 with the flag means all that are out.
        first, self._first = self._first, max(self._first, (tag or self.last) + 1)
        if self._first - first > len(self.unconfirmed):
            # Most were confirmed one by one meanwhile.
            return list(takewhile(self._first.__gt__, self.unconfirmed))
        return range(first, self._first)
