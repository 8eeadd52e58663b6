"""Being told to stop while a client library waits for its broker: it may take the cancellation for one of its own."""

import asyncio


def is_told_to_stop() -> bool:
    """Say whether this task was cancelled, whatever has become of the `CancelledError`."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def stop_if_told() -> None:
    """Be cancelled now where the cancellation was swallowed: aio-pika does so while it closes a connection."""
    if is_told_to_stop():
        raise asyncio.CancelledError
