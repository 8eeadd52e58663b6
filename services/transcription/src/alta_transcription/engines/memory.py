"""Memory of a process that works for hours, where the C library is GNU's; elsewhere nothing happens.

What its allocator has been given back lies in holes between what is still used. A window of sound takes dozens of
blocks of some megabytes, each window of another length others: an hour of speech took 300 MB more than a clip.
"""

import ctypes
from contextlib import suppress

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST_ARENAS = -1, -3, -8

# Blocks from this size on, which are those of the encoder's inner layers, are the system's own: they go back to it when
# they are freed, and leave no holes. With less, clearing their pages each time takes a tenth more CPU time.
_LARGE = 6 << 20
# What is free at the end of the heap stays, for it is used again a moment later.
_KEPT_FREE = 64 << 20


def leave_no_holes() -> None:
    """Have memory allocated so that what is freed can be given back. Call it before there are other threads."""
    with suppress(OSError, AttributeError):
        library = _library()
        # One arena: each of the model's threads would leave holes of its own.
        library.mallopt(_MOST_ARENAS, 1)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_FREE)


def return_freed_memory() -> None:
    """Give back to the system what was freed."""
    with suppress(OSError, AttributeError):
        _library().malloc_trim(0)


def _library() -> ctypes.CDLL:
    return ctypes.CDLL("libc.so.6")
