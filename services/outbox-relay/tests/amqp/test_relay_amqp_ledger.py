"""What the ledger makes of acks, nacks and returns in any order, beside the simplest ledger that there could be."""

import random
from collections.abc import Callable

import pytest

from alta_outbox_relay.amqp.errors import ProtocolError
from alta_outbox_relay.amqp.ledger import Ledger, Sent
from alta_outbox_relay.event import PendingEvent


@pytest.mark.parametrize("seed", range(30))
def test_every_message_ends_once_and_as_the_broker_said(
    seed: int, make_event: Callable[..., PendingEvent], heard
) -> None:
    chance = random.Random(seed)
    ledger, sent = Ledger(), Sent(heard, "projects", 0.0, 0)
    events = [make_event(id=number) for number in range(40)]
    waiting: dict[int, PendingEvent] = {}
    returned: dict[int, str] = {}
    confirmed: list[int] = []
    refused: list[tuple[int, str]] = []

    for step in range(400):
        what = chance.choice(["send", "send", "ack", "ack", "nack", "return", "return"])
        if what == "send":
            # One event may be on its way more than once.
            some = chance.choices(events, k=chance.randint(1, 5))
            waiting |= {ledger.last + 1 + place: event for place, event in enumerate(some)}
            ledger.enter(some, sent)
        elif what == "return" and (open_ones := [tag for tag in waiting if tag not in returned]):
            event = waiting[chance.choice(open_ones)]
            returned[next(tag for tag in open_ones if waiting[tag] is event)] = f"reason {step}"
            ledger.give_back(str(event.event_id), f"reason {step}")
        elif what in ("ack", "nack") and waiting:
            tag, multiple = chance.choice([*waiting, 0]), chance.random() < 0.3
            meant = [one for one in sorted(waiting) if one == tag or (multiple and (one < tag or not tag))]
            for one in meant:
                number, reason = waiting.pop(one).id, returned.pop(one, None)
                if what == "ack" and reason is None:
                    confirmed.append(number)
                else:
                    refused.append((number, reason or "the broker refused it (nack)"))
            (ledger.ack if what == "ack" else ledger.nack)(tag, multiple)

    assert [event.id for event, _ in ledger.confirmed] == confirmed
    assert [(one.entry[0].id, one.reason) for one in ledger.refused] == refused
    assert [event for event, _ in ledger.abandon()] == list(waiting.values())
    with pytest.raises(ProtocolError):
        ledger.give_back(str(make_event().event_id), "nobody sent it")
