"""Ids: UUIDv7 (RFC 9562), which sort by the time they were made."""

import hashlib
from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """Return a new UUIDv7; ids of one process only ever grow."""
    return UUID(int=uuid_utils.uuid7().int)


def derived_id(source: UUID, purpose: str) -> UUID:
    """Return the same id for the same source and purpose, so that doing a thing twice names its result once.

    The time part of `source` is kept, so that a derived id sorts beside the id it comes from; the rest is
    SHA-256 of source and purpose. The value is a valid UUIDv7.
    """
    digest = hashlib.sha256(source.bytes + purpose.encode()).digest()
    raw = bytearray(source.bytes[:6] + digest[:10])
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return UUID(bytes=bytes(raw))
