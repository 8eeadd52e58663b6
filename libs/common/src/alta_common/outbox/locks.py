"""How relays and the view agree on advisory locks.

Everything that a relay claims is a session lock, so it ends with the relay's connection, however that ends:

- `(class, shard)`, exclusive: this session owns the shard;
- `(class, MEMBER)`, shared: this session is a relay that takes part in sharing;
- `(class + 1, MEMBER)`, shared: this relay has a broker to publish to;
- the 64-bit key `fetched_key(…)`, shared: of this shard, the session has fetched events up to this id.
"""

import zlib

MEMBER = 16
_ID_BITS = 0xFFFFFFFF


def lock_class(schema: str) -> int:
    """Return the first half of the lock keys of `schema`'s outbox: a positive 32-bit number, a multiple of 16."""
    return zlib.crc32(f"alta_outbox:{schema}".encode()) & 0x7FFFFFF0


def fetched_key(schema: str, shard: int, event_number: int) -> int:
    """Return the key that says how far `shard` was fetched. It keeps the id's lower 32 bits."""
    return (lock_class(schema) + shard) << 32 | (event_number & _ID_BITS)
