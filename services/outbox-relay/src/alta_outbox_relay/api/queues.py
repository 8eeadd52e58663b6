"""The route of queues."""

from fastapi import APIRouter, Depends

from alta_outbox_relay.api.dead_letter_schemas import QueueOut, QueuesOut
from alta_outbox_relay.api.deps import App, Reader, no_store
from alta_outbox_relay.api.responses import problems

router = APIRouter(prefix="/v1/admin/queues", tags=["Operations"], dependencies=[Depends(no_store)])


@router.get("", responses=problems(r503="RabbitMQ does not answer."))
async def list_queues(_: Reader, app: App) -> QueuesOut:
    """List work queues, delay queues and queues of dead letters with their numbers as of now."""
    states = await app.queues.measure()
    return QueuesOut(items=[QueueOut.model_validate(state) for state in states], is_complete=app.queues.is_complete)
