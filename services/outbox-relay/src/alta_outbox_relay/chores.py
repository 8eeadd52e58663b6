"""What a relay does beside its pipeline, each in its own rhythm: sharing shards, raising marks, being seen."""

import time

from alta_outbox_relay import metrics
from alta_outbox_relay.lanes import Lanes
from alta_outbox_relay.low_water import LowWater
from alta_outbox_relay.policy import RelayPolicy
from alta_outbox_relay.reader import Reader
from alta_outbox_relay.session import OutboxSession
from alta_outbox_relay.shards import ShardOwner

_REBALANCE_SECONDS = 0.25
# When there is nobody whose shards could become free: only a newcomer waits for that.
_REBALANCE_ALONE_SECONDS = 0.5
_ADVANCE_SECONDS = 1.0
# Two to see that the writers of a moment have ended, one for what they wrote to go.
_ADVANCES = 3


class Chores:
    """The chores of one session."""

    def __init__(
        self, session: OutboxSession, lanes: Lanes, reader: Reader, low_water: LowWater, policy: RelayPolicy
    ) -> None:
        self._session = session
        self._lanes = lanes
        self._reader = reader
        self._low_water = low_water
        self._policy = policy
        self._owner = ShardOwner(session)
        self._serving: tuple[int, ...] = ()
        self._rebalance_at = 0.0
        self._advance_at = 0.0
        self._end_silent_at = 0.0
        self._advances = _ADVANCES

    @property
    def next_at(self) -> float:
        """Return when there is something to do."""
        return self._rebalance_at

    async def join(self) -> None:
        """Take part in sharing."""
        await self._owner.join()

    async def do(self, *, has_broker: bool) -> None:
        """Do what is due."""
        if self._owner.leaving:
            await self._give_back()
        now = time.monotonic()
        if now < self._rebalance_at:
            return
        await self._owner.tell(has_broker=has_broker)
        await self._owner.rebalance()
        self._rebalance_at = now + (_REBALANCE_ALONE_SECONDS if self._owner.is_alone else _REBALANCE_SECONDS)
        self._serve()
        await self._session.show_fetched(self._reader.highest)
        if self._lanes.known:
            self._advances = _ADVANCES
        if self._advances and now >= self._advance_at:
            self._advances -= 1
            self._advance_at = now + _ADVANCE_SECONDS
            await self._low_water.advance(self._serving)
        if now >= self._end_silent_at:
            self._end_silent_at = now + self._policy.stale_seconds / 5
            await self._owner.end_silent(self._policy.stale_seconds)

    def _serve(self) -> None:
        """Read what is ours and nobody waits for; of what somebody waits for, send nothing more."""
        leaving = self._owner.leaving
        serving = tuple(shard for shard in self._owner.owned if shard not in leaving)
        if serving == self._serving:
            return
        for shard in leaving:
            self._lanes.shut(shard)
        for shard in serving:
            self._lanes.open(shard)
        self._serving = serving
        self._advances = _ADVANCES
        self._reader.serve(serving)
        metrics.shards_owned.labels(self._session.schema).set(len(self._owner.owned))

    async def _give_back(self) -> None:
        """Let go of what others wait for, once nothing of it is on its way or still to be struck out."""
        quiet = [shard for shard in self._owner.leaving if not self._lanes.at_risk[shard]]
        if quiet:
            await self._owner.give_back(quiet)
            metrics.shards_owned.labels(self._session.schema).set(len(self._owner.owned))
