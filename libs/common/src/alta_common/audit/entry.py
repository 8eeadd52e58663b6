"""What an audit row says, and how its hash is made."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

GENESIS = bytes(32)
"""h_0: what the first entry of a chain is linked to."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what with which thing. `details` are JSON values; nothing secret goes in.

    `stream` names the chain that the entry belongs to: the project's id, in identity the account's; None is the
    service's own chain.
    """

    actor_id: UUID | None
    action: str
    subject_type: str
    subject_id: UUID | None
    stream: UUID | None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry as it was recorded: its place in the chain, when, and from where."""

    id: int
    entry: AuditEntry
    seq: int
    occurred_at: datetime
    request_id: str | None
    trace_id: str | None
    client_address: str | None
    hash: bytes


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """What a look at a whole chain found: `broken_at` is the first `seq` that does not fit, `reason` says why."""

    intact: bool
    entries: int
    broken_at: int | None = None
    reason: str | None = None


def canonical_json(values: dict[str, Any]) -> bytes:
    """Return `values` as JSON with sorted keys, no spaces, UTF-8. Raises `ValueError` for NaN and infinities."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def link(previous: bytes, record: AuditRecord) -> bytes:
    """Return the hash of `record` behind the hash `previous`: SHA-256(previous ‖ canonical JSON)."""
    entry = record.entry
    values = {
        "seq": record.seq,
        "occurred_at": record.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "stream": _text(entry.stream),
        "actor_id": _text(entry.actor_id),
        "action": entry.action,
        "subject_type": entry.subject_type,
        "subject_id": _text(entry.subject_id),
        "details": entry.details,
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "client_address": record.client_address,
    }
    return hashlib.sha256(previous + canonical_json(values)).digest()


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
