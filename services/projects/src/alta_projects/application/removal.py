"""Taking items away with all that belongs to them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from alta_common.clock import utc_now
from alta_projects.models.media_item import MediaItem
from alta_projects.repositories.items import ItemRepository
from alta_projects.repositories.objects import UnclaimedObjectRepository
from alta_projects.repositories.revisions import RevisionRepository


async def remove_items(session: AsyncSession, items: Sequence[MediaItem]) -> None:
    """Remove items and their revisions, and have the sweep remove the originals and every result.

    The items' rows must be locked: a result that comes in meanwhile would be forgotten.
    """
    results = await RevisionRepository(session).keys_of([item.id for item in items])
    originals = [item.object_key for item in items]
    await UnclaimedObjectRepository(session).condemn([*originals, *results], utc_now())
    for item in items:
        await ItemRepository(session, MediaItem).remove(item)
