"""Who drains which shard: session advisory locks, shared out fairly between the relays that live."""

from collections.abc import Sequence

import structlog

from alta_common.outbox.locks import MEMBER, lock_class
from alta_common.outbox.table import SHARDS
from alta_outbox_relay import sql
from alta_outbox_relay.session import OutboxSession

log = structlog.get_logger()


def fair_share(members: int, rank: int) -> int:
    """Return how many shards the relay of this rank (from 0) takes; the shares of all make up all shards."""
    return SHARDS // members + (1 if rank < SHARDS % members else 0)


class ShardOwner:
    """The shards that one session owns. They are given back by closing the session, however that happens."""

    def __init__(self, session: OutboxSession) -> None:
        self._session = session
        self._class = lock_class(session.schema)
        self._owned: list[int] = []
        self._surplus = 0
        self._pid = 0
        self._members: list[int] = []

    @property
    def owned(self) -> tuple[int, ...]:
        """Return the shards that are ours, those that are `leaving` included."""
        return tuple(self._owned)

    @property
    def leaving(self) -> tuple[int, ...]:
        """Return the shards that others are waiting for: to be `give_back` once nothing of them is on its way."""
        return tuple(self._owned[len(self._owned) - self._surplus :])

    @property
    def is_alone(self) -> bool:
        """Say whether nobody else takes part."""
        return len(self._members) == 1

    async def join(self) -> None:
        """Take part in sharing."""
        (row,) = await self._session.ask(sql.JOIN, self._class, MEMBER)
        self._pid = row["pid"]

    async def rebalance(self) -> None:
        """Move towards our fair share: take what is free, or name what is `leaving`."""
        taken = await self._look()
        # The order of process ids: arbitrary, but the same for all who look.
        rank = self._members.index(self._pid)
        share = fair_share(len(self._members), rank)
        self._surplus = max(0, len(self._owned) - share)
        if len(self._owned) < share:
            await self._take(taken, share - len(self._owned), rank)

    async def give_back(self, shards: Sequence[int]) -> None:
        """Let go of some that are `leaving`."""
        await self._session.ask(sql.GIVE_BACK, self._class, shards)
        self._owned = [shard for shard in self._owned if shard not in shards]
        self._surplus -= len(shards)

    async def end_silent(self, seconds: float) -> None:
        """End the sessions of other relays that have not said anything for so long."""
        if len(self._members) > 1:
            for row in await self._session.ask(sql.END_SILENT, self._members, seconds):
                log.warning("outbox.silent_relay_ended", schema=self._session.schema, backend=row["pid"])

    async def _look(self) -> set[int]:
        rows = await self._session.ask(sql.LOCKS, self._class)
        self._members = sorted({row["pid"] for row in rows if row["objid"] == MEMBER})
        return {row["objid"] for row in rows if row["objid"] != MEMBER}

    async def _take(self, taken: set[int], count: int, rank: int) -> None:
        # Each begins somewhere else, so that two who see the same free shards do not fight for the same one.
        order = [(shard + rank * 5) % SHARDS for shard in range(SHARDS)]
        free = [shard for shard in order if shard not in taken]
        while count and free:
            tried, free = free[:count], free[count:]
            got = [row["shard"] for row in await self._session.ask(sql.TAKE, self._class, tried)]
            self._owned += got
            count -= len(got)
