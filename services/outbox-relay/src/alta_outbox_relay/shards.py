"""Who drains which shard: session advisory locks, shared out fairly between the relays that live."""

from alta_common.outbox.locks import MEMBER, lock_class
from alta_common.outbox.table import SHARDS
from alta_outbox_relay.session import OutboxSession


def fair_share(members: int, rank: int) -> int:
    """Return how many shards the relay of this rank (from 0) takes; the shares of all make up all shards."""
    return SHARDS // members + (1 if rank < SHARDS % members else 0)


class ShardOwner:
    """The shards that one session owns. They are given back by closing the session, however that happens."""

    def __init__(self, session: OutboxSession) -> None:
        self._session = session
        self._class = lock_class(session.schema)
        self._owned: list[int] = []
        self._pid = 0

    @property
    def owned(self) -> tuple[int, ...]:
        """Return the shards that are ours."""
        return tuple(self._owned)

    async def join(self) -> None:
        """Take part in sharing."""
        await self._session.value("SELECT pg_advisory_lock_shared($1, $2)", self._class, MEMBER)
        self._pid = await self._session.value("SELECT pg_backend_pid()")

    async def rebalance(self) -> bool:
        """Move towards our fair share; return whether anything changed.

        Nothing of a shard may be on its way to the broker when this is called, for it may be given to another relay.
        """
        members, taken = await self._look()
        # The order of process ids: arbitrary, but the same for all who look.
        rank = members.index(self._pid)
        share = fair_share(len(members), rank)
        if len(self._owned) > share:
            await self._give_back(len(self._owned) - share)
            return True
        return len(self._owned) < share and await self._take(taken, share - len(self._owned), rank)

    async def _look(self) -> tuple[list[int], set[int]]:
        rows = await self._session.rows(_LOCKS, self._class)
        members = sorted({row["pid"] for row in rows if row["objid"] == MEMBER})
        taken = {row["objid"] for row in rows if row["objid"] != MEMBER}
        return members, taken

    async def _give_back(self, count: int) -> None:
        for _ in range(count):
            await self._session.value("SELECT pg_advisory_unlock($1, $2)", self._class, self._owned[-1])
            self._owned.pop()

    async def _take(self, taken: set[int], count: int, rank: int) -> bool:
        # Each begins somewhere else, so that two who see the same free shards do not fight for the same one.
        order = [(shard + rank * 5) % SHARDS for shard in range(SHARDS)]
        before = len(self._owned)
        for shard in (shard for shard in order if shard not in taken):
            if len(self._owned) - before == count:
                break
            if await self._session.value("SELECT pg_try_advisory_lock($1, $2)", self._class, shard):
                self._owned.append(shard)
        return len(self._owned) > before


_LOCKS = """
SELECT pid, objid::integer AS objid FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1::bigint::oid AND granted
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""
