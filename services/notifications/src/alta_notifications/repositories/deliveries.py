"""All SQL about deliveries."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import utc_now
from alta_common.errors import NotFoundError
from alta_notifications.models.delivery import Delivery, DeliveryStatus, recipient_hash


class DeliveryRepository:
    """The deliveries, in one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock_or_create(self, event_id: UUID, *, template: str, to: str, message_id: str) -> Delivery:
        """Return the event's delivery, made now if need be, with its row held until the transaction ends."""
        row = {
            "event_id": event_id,
            "template": template,
            "recipient_hash": recipient_hash(to),
            "message_id": message_id,
            "status": DeliveryStatus.WAITING,
            "attempts": 0,
            "created_at": utc_now(),
        }
        await self._session.execute(insert(Delivery).values(row).on_conflict_do_nothing())
        return await self.lock(event_id)

    async def lock(self, event_id: UUID) -> Delivery:
        """Return the event's delivery with its row held. Raises `NotFoundError`."""
        found = await self.find(event_id, hold=True)
        if found is None:
            raise NotFoundError(f"there is no delivery for event {event_id}")
        return found

    async def find(self, event_id: UUID, *, hold: bool = False) -> Delivery | None:
        """Return the event's delivery, or None; its row is held until the transaction ends if asked for."""
        return await self._session.get(Delivery, event_id, with_for_update=hold)

    async def forget(self, before: datetime) -> None:
        """Drop what was made before this moment."""
        await self._session.execute(delete(Delivery).where(Delivery.created_at < before))
