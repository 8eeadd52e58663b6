"""The audit trail: a hash chain per stream, h_n = SHA-256(h_(n-1) ‖ canonical JSON), in the caller's transaction."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.audit.entry import GENESIS, AuditEntry, AuditRecord, AuditVerification, canonical_json, link
from alta_common.clock import utc_now
from alta_common.db.names import in_schema
from alta_common.telemetry.context import client_address, correlation_id, current_trace_id

_OWN_STREAM = UUID(int=0)
_VERIFY_ROWS = 1000


class AuditTrail:
    """The audit trail of one schema."""

    def __init__(self, schema: str) -> None:
        self._lock_head = text(in_schema(_LOCK_HEAD, schema))
        self._append = text(in_schema(_APPEND, schema))
        self._chain = text(in_schema(_CHAIN, schema))
        self._head = text(in_schema("SELECT seq, hash FROM {schema}.audit_head WHERE stream = :stream", schema))
        self._page = text(in_schema(_PAGE, schema))

    async def record(self, session: AsyncSession, entry: AuditEntry) -> None:
        """Append `entry` to its stream's chain, in the session's transaction.

        Holds the stream's head until the transaction ends, so entries of one stream are recorded one after the other:
        call it late in the transaction. Raises `ValueError` when the details are not plain JSON.
        """
        stream = entry.stream or _OWN_STREAM
        head = (await session.execute(self._lock_head, {"stream": stream, "genesis": GENESIS})).one()
        # As they will be read back: keys become strings, tuples lists.
        details = canonical_json(entry.details)
        record = AuditRecord(
            id=0,
            entry=_entry(entry, stream, json.loads(details)),
            seq=head.seq + 1,
            occurred_at=utc_now(),
            request_id=correlation_id(),
            trace_id=current_trace_id(),
            client_address=client_address(),
            hash=b"",
        )
        await session.execute(
            self._append, _parameters(record) | {"details": details.decode(), "hash": link(head.hash, record)}
        )

    async def verify(self, session: AsyncSession, stream: UUID | None) -> AuditVerification:
        """Recompute a stream's chain from its first entry; say whether every row is there and unchanged."""
        stream = stream or _OWN_STREAM
        previous, seq = GENESIS, 0
        # The head first: what is recorded while we read is behind it.
        head = (await session.execute(self._head, {"stream": stream})).first()
        last = head.seq if head else 0
        while seq < last:
            page = {"stream": stream, "after": seq, "last": last, "limit": _VERIFY_ROWS}
            rows = await session.execute(self._chain, page)
            records = [_record(row) for row in rows]
            if not records:
                break
            for record in records:
                if record.seq != seq + 1:
                    return AuditVerification(False, seq, seq + 1, "an entry is missing")
                if link(previous, record) != record.hash:
                    return AuditVerification(False, seq, record.seq, "an entry does not match its hash")
                previous, seq = record.hash, record.seq
        if seq != last:
            return AuditVerification(False, seq, seq + 1, "entries are missing at the end")
        if head and head.hash != previous:
            return AuditVerification(False, seq, seq, "the head of the chain does not match its last entry")
        if await self._has_more(session, stream, last):
            return AuditVerification(False, seq, seq + 1, "there are entries behind the head of the chain")
        return AuditVerification(True, seq)

    async def _has_more(self, session: AsyncSession, stream: UUID, last: int) -> bool:
        """Say whether rows lie behind the head, when no one has moved the head in the meantime."""
        parameters = {"stream": stream, "after": last, "last": last + 1, "limit": 1}
        behind = (await session.execute(self._chain, parameters)).first()
        head = (await session.execute(self._head, {"stream": stream})).first()
        return behind is not None and (head.seq if head else 0) == last

    async def list(
        self,
        session: AsyncSession,
        *,
        stream: UUID | None = None,
        actor_id: UUID | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[AuditRecord]:
        """Return up to `limit` records, newest first, whose `id` is below `before`; None of a filter means any."""
        parameters = {"stream": stream, "actor_id": actor_id, "action": action, "before": before, "limit": limit}
        return [_record(row) for row in await session.execute(self._page, parameters)]


def _entry(entry: AuditEntry, stream: UUID, details: dict[str, Any]) -> AuditEntry:
    return AuditEntry(entry.actor_id, entry.action, entry.subject_type, entry.subject_id, stream, details)


def _parameters(record: AuditRecord) -> dict[str, Any]:
    entry = record.entry
    return {
        "stream": entry.stream,
        "seq": record.seq,
        "occurred_at": record.occurred_at,
        "actor_id": entry.actor_id,
        "action": entry.action,
        "subject_type": entry.subject_type,
        "subject_id": entry.subject_id,
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "client_address": record.client_address,
    }


def _record(row: Row[Any]) -> AuditRecord:
    details = json.loads(row.written_details)
    return AuditRecord(
        id=row.id,
        entry=AuditEntry(row.actor_id, row.action, row.subject_type, row.subject_id, row.stream, details),
        seq=row.seq,
        occurred_at=row.occurred_at,
        request_id=row.request_id,
        trace_id=row.trace_id,
        client_address=row.client_address,
        hash=row.hash,
    )


# Makes the head when it is missing, and locks it either way until the transaction ends.
_LOCK_HEAD = """
INSERT INTO {schema}.audit_head AS head (stream, seq, hash) VALUES (:stream, 0, :genesis)
ON CONFLICT (stream) DO UPDATE SET seq = head.seq RETURNING seq, hash
"""

_APPEND = """
WITH head AS (UPDATE {schema}.audit_head SET seq = :seq, hash = :hash WHERE stream = :stream)
INSERT INTO {schema}.audit_log (stream, seq, occurred_at, actor_id, action, subject_type, subject_id, details,
    request_id, trace_id, client_address, hash)
VALUES (:stream, :seq, CAST(:occurred_at AS timestamptz), CAST(:actor_id AS uuid), :action, :subject_type,
    CAST(:subject_id AS uuid), CAST(:details AS json), CAST(:request_id AS text), CAST(:trace_id AS text),
    CAST(:client_address AS text), :hash)
"""

_CHAIN = """
SELECT *, CAST(details AS text) AS written_details FROM {schema}.audit_log
WHERE stream = :stream AND seq > :after AND seq <= :last ORDER BY seq LIMIT :limit
"""

_PAGE = """
SELECT *, CAST(details AS text) AS written_details FROM {schema}.audit_log
WHERE (CAST(:stream AS uuid) IS NULL OR stream = CAST(:stream AS uuid))
  AND (CAST(:actor_id AS uuid) IS NULL OR actor_id = CAST(:actor_id AS uuid))
  AND (CAST(:action AS text) IS NULL OR action = CAST(:action AS text))
  AND (CAST(:before AS bigint) IS NULL OR id < CAST(:before AS bigint))
ORDER BY id DESC LIMIT :limit
"""
