"""Memory of a process that works for hours on sound of every length.

Each window of another length has the encoder allocate other blocks, of up to some dozen megabytes, and compile other
code. With what libraries keep by themselves, a worker grew by 300 MB over an hour of speech.
"""

import ctypes
import os
from contextlib import suppress

# oneDNN compiles its convolutions for each length anew, which takes 5 ms, and keeps the last 1,024 of them,
# 1.6 MB a length. No length comes often enough for that to be of use.
_KEPT_PRIMITIVES = "4"

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST_ARENAS = -1, -3, -8

# Blocks from this size on are the system's own: they go back to it when they are freed, and leave no holes between what
# is still used. With half of it, clearing their pages each time takes a tenth more CPU time.
_LARGE = 8 << 20
# What is free at the end of the heap stays, for it is used again a moment later.
_KEPT_FREE = 64 << 20


def be_frugal() -> None:
    """Have native libraries keep little of what they are done with. Call it before a model is loaded.

    Where the C library is another than GNU's, its allocator is left as it is.
    """
    os.putenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KEPT_PRIMITIVES)
    with suppress(OSError, AttributeError):
        library = _library()
        # One arena: each of the model's threads would leave holes of its own.
        library.mallopt(_MOST_ARENAS, 1)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_FREE)


def return_freed_memory() -> None:
    """Give back to the system what was freed, where the C library is GNU's."""
    with suppress(OSError, AttributeError):
        _library().malloc_trim(0)


def _library() -> ctypes.CDLL:
    return ctypes.CDLL("libc.so.6")
