"""What tests of several services share. Nothing that runs in production imports this."""

from alta_common.testing.waiting import eventually

__all__ = ["eventually"]
