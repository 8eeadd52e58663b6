"""`Idempotency-Key`: the same request twice has one effect and one answer (draft-ietf-httpapi-idempotency-key-header).

Key and answer are written in the transaction of what the request makes, so that there is never one without the other.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import utc_now
from alta_common.db.names import checked_identifier, in_schema
from alta_common.errors import ConflictError, InvalidError

KEPT_FOR = timedelta(hours=24)


class IdempotencyKeyReusedError(InvalidError):
    """The key belongs to another request."""

    code = "idempotency_key_reused"


class IdempotencyKeyInProgressError(ConflictError):
    """The first request with this key is still being answered."""

    code = "idempotency_key_in_progress"


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What the first request with a key was answered."""

    status: int
    headers: dict[str, str]
    body: bytes


def fingerprint_of(*parts: bytes | str | object) -> str:
    """Return what tells one request from another: SHA-256 over its parts (method, path, body or its JSON value)."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else orjson.dumps(part, default=str, option=orjson.OPT_SORT_KEYS)
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


_TAKE_TURN = "SELECT pg_try_advisory_xact_lock(hashtextextended('{schema}.idempotency_key:' || :owner, 0))"
_FIND = """
SELECT fingerprint, status, headers, body FROM {schema}.idempotency_key
WHERE principal_id = :principal_id AND key = :key AND created_at > :since
"""
_CLAIM = """
INSERT INTO {schema}.idempotency_key (principal_id, key, fingerprint) VALUES (:principal_id, :key, :fingerprint)
ON CONFLICT (principal_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint, status = NULL, headers = '{}', body = '', created_at = now()
"""
_FINISH = """
UPDATE {schema}.idempotency_key SET status = :status, headers = CAST(:headers AS jsonb), body = :body
WHERE principal_id = :principal_id AND key = :key
"""
_SWEEP = "DELETE FROM {schema}.idempotency_key WHERE created_at <= :before"


class IdempotencyKeys:
    """The keys that one schema has seen in the last 24 hours; each caller has keys of its own."""

    def __init__(self, schema: str) -> None:
        self._take_turn, self._find, self._claim, self._finish, self._sweep = (
            text(in_schema(statement, schema)) for statement in (_TAKE_TURN, _FIND, _CLAIM, _FINISH, _SWEEP)
        )

    async def begin(self, session: AsyncSession, principal_id: UUID, key: str, fingerprint: str) -> StoredAnswer | None:
        """Claim a key in this transaction. Return the answer that it has already, or None: go on, then `finish`.

        Raises `IdempotencyKeyReusedError` when the key belongs to another request, and
        `IdempotencyKeyInProgressError` while another transaction holds it.
        """
        turn = await session.scalar(self._take_turn, {"owner": f"{principal_id}:{key}"})
        if not turn:
            raise IdempotencyKeyInProgressError("A request with this Idempotency-Key is still running.")
        owner = {"principal_id": principal_id, "key": key}
        row = (await session.execute(self._find, {**owner, "since": utc_now() - KEPT_FOR})).first()
        if row is not None and row.fingerprint != fingerprint:
            raise IdempotencyKeyReusedError("This Idempotency-Key was used for another request.")
        if row is not None and row.status is not None:
            return StoredAnswer(row.status, dict(row.headers), bytes(row.body))
        await session.execute(self._claim, {**owner, "fingerprint": fingerprint})
        return None

    async def finish(
        self,
        session: AsyncSession,
        principal_id: UUID,
        key: str,
        *,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """Keep the answer with the key, in the transaction that `begin` was called in."""
        kept = orjson.dumps(dict(headers or {})).decode()
        values = {"principal_id": principal_id, "key": key, "status": status, "headers": kept, "body": body}
        await session.execute(self._finish, values)

    async def sweep(self, session: AsyncSession, now: datetime | None = None) -> None:
        """Drop keys older than 24 hours."""
        await session.execute(self._sweep, {"before": (now or utc_now()) - KEPT_FOR})


def create_idempotency(schema: str) -> list[str]:
    """Return the statements that create `idempotency_key` in `schema`, for a migration."""
    checked_identifier(schema)
    return [
        f"""
        CREATE TABLE {schema}.idempotency_key (
            principal_id uuid NOT NULL,
            key text NOT NULL CHECK (length(key) <= 255),
            fingerprint text NOT NULL,
            status smallint,
            headers jsonb NOT NULL DEFAULT '{{}}',
            body bytea NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (principal_id, key)
        )
        """,
        f"CREATE INDEX idempotency_key_created_at ON {schema}.idempotency_key (created_at)",
    ]
