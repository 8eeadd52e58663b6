"""Requests that take effect once: `Idempotency-Key`, stored in the transaction of what was created."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.http.idempotency import IdempotencyKeys, StoredAnswer, fingerprint_of

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Once(Generic[Made]):
    """How one creating request is recognised when it comes again. Without a key every request is a new one.

    `answer_of` is how the edge answers for what was made: the answer is stored with it, and given again.
    """

    keys: IdempotencyKeys
    caller_id: UUID
    key: str | None
    answer_of: Callable[[Made], StoredAnswer]

    async def replay(self, session: AsyncSession, *request: object) -> StoredAnswer | None:
        """Return the answer that the same request got before; None when it is to be done now.

        `request` is everything that makes it the same. Raises an `InvalidError` when the key was used for another
        request and a `ConflictError` while another transaction is answering it.
        """
        if self.key is None:
            return None
        return await self.keys.begin(session, self.caller_id, self.key, fingerprint_of(*request))

    async def keep(self, session: AsyncSession, made: Made) -> None:
        """Store the answer for `made`."""
        if self.key is not None:
            answer = self.answer_of(made)
            await self.keys.finish(
                session, self.caller_id, self.key, status=answer.status, headers=answer.headers, body=answer.body
            )
