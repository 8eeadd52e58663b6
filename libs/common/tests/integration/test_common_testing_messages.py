"""What tests publish reaches somebody, or they hear of it."""

import aio_pika
import pytest
from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError

from alta_common.contracts.projects import ProjectCreated
from alta_common.ids import new_id
from alta_common.testing import eventually
from alta_common.testing.messages import listening, publish

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_publishing_is_refused_until_a_queue_is_bound(rabbitmq_url: str) -> None:
    event = ProjectCreated(project_id=new_id(), name="new", created_by=new_id())

    with pytest.raises(ChannelNotFoundEntity):
        await publish(rabbitmq_url, event)
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange(event.EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    with pytest.raises(DeliveryError):
        await publish(rabbitmq_url, event)
    async with listening(rabbitmq_url, event.EXCHANGE) as heard:
        await publish(rabbitmq_url, event)
        assert await eventually(lambda: heard.types, 30) == [event.TYPE]
