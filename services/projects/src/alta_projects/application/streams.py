"""Bytes on their way from the client to the store, never more than a piece of them in memory."""

from collections.abc import AsyncIterator

from alta_common.errors import TooLargeError

# Fewer, larger writes: each is a trip to a thread.
PIECE_BYTES = 256 * 1024


async def limited(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Pass `chunks` on. Raises `TooLargeError` with the first byte beyond `limit`."""
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > limit:
            raise TooLargeError(f"the file is larger than {limit} bytes")
        yield chunk


async def in_pieces(first: bytes, chunks: AsyncIterator[bytes], size: int = PIECE_BYTES) -> AsyncIterator[bytes]:
    """Yield `first` and then what `chunks` yields, joined to pieces of about `size` bytes."""
    held = bytearray(first)
    async for chunk in chunks:
        held += chunk
        if len(held) >= size:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


async def read_head(chunks: AsyncIterator[bytes], size: int) -> bytes:
    """Return the first `size` bytes of `chunks` or a little more; less only when there is no more."""
    head = bytearray()
    while len(head) < size and (chunk := await anext(chunks, None)) is not None:
        head += chunk
    return bytes(head)
