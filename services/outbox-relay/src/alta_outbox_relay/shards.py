"""Who drains which shard: session advisory locks, shared out fairly between the relays that live."""

import time
from collections.abc import Sequence

import structlog

from alta_common.outbox.locks import MEMBER, lock_class
from alta_common.outbox.table import SHARDS
from alta_outbox_relay import sql
from alta_outbox_relay.session import OutboxSession

log = structlog.get_logger()

# A broker that restarts is away for all; who only lost a connection has another one by then.
_BROKER_AWAY_SECONDS = 3.0


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
        self._with_broker: list[int] = []
        self._has_broker = False
        self._useless_since: float | None = None

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

    async def tell(self, *, has_broker: bool) -> None:
        """Let the others know whether we could publish what we own."""
        if has_broker != self._has_broker:
            await self._session.ask(sql.JOIN if has_broker else sql.LEAVE, self._class + 1, MEMBER)
            self._has_broker = has_broker

    async def rebalance(self) -> None:
        """Move towards our fair share: take what is free, or name what is `leaving`.

        While some relays have a broker and others have none, those who have share everything. While none has, nothing
        changes hands: it would only lose what its owners know of it.
        """
        taken = await self._look()
        sharing = self._with_broker or self._members
        if self._pid not in sharing:
            self._surplus = len(self._owned) if self._is_useless() else 0
            return
        self._useless_since = None
        # The order of process ids: arbitrary, but the same for all who look.
        rank = sharing.index(self._pid)
        share = fair_share(len(sharing), rank)
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

    def _is_useless(self) -> bool:
        """Say whether others have had a broker, and we none, for longer than it takes to connect again."""
        now = time.monotonic()
        if self._useless_since is None:
            self._useless_since = now
        return now - self._useless_since >= _BROKER_AWAY_SECONDS

    async def _look(self) -> set[int]:
        rows = await self._session.ask(sql.LOCKS, self._class)
        self._with_broker = sorted({row["pid"] for row in rows if row["tells_of_broker"]})
        of_outbox = [row for row in rows if not row["tells_of_broker"]]
        self._members = sorted({row["pid"] for row in of_outbox if row["objid"] == MEMBER})
        return {row["objid"] for row in of_outbox if row["objid"] != MEMBER}

    async def _take(self, taken: set[int], count: int, rank: int) -> None:
        # Each begins somewhere else, so that two who see the same free shards do not fight for the same one.
        order = [(shard + rank * 5) % SHARDS for shard in range(SHARDS)]
        free = [shard for shard in order if shard not in taken]
        while count and free:
            tried, free = free[:count], free[count:]
            got = [row["shard"] for row in await self._session.ask(sql.TAKE, self._class, tried)]
            self._owned += got
            count -= len(got)
