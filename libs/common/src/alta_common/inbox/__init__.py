"""The inbox: every event has its effect once."""

from alta_common.inbox.reader import Inbox

__all__ = ["Inbox"]
