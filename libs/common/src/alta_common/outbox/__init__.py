"""The outbox: events written in the transaction that makes them true, published by the relay."""

from alta_common.outbox.wakeup import OutboxWakeup
from alta_common.outbox.writer import Outbox, UnknownEventError

__all__ = ["Outbox", "OutboxWakeup", "UnknownEventError"]
