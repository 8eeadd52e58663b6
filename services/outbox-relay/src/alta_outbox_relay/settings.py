"""Settings of the relay."""

from pydantic import Field, field_validator

from alta_common.db.names import checked_identifier
from alta_common.settings import HttpSettings, PostgresSettings, RabbitmqSettings, ServiceSettings, TokenSettings


class RelaySettings(ServiceSettings, PostgresSettings, RabbitmqSettings):
    """What the relay reads from the environment."""

    outbox_schemas: str = Field("identity,projects", description="Schemas whose outboxes are drained, comma separated.")
    outbox_batch_size: int = Field(
        2000,
        ge=1,
        le=10_000,
        description="Events of one schema that may be published and not struck out yet: what a fault can send twice.",
    )
    outbox_window: int = Field(
        1000, ge=1, le=10_000, description="Publishes of one schema that may wait for their confirm together."
    )
    outbox_processing_interval: float = Field(
        1.0, gt=0, le=60, description="Seconds after which the relay looks by itself; usually it is woken before."
    )
    outbox_max_retries: int = Field(10, ge=0, le=100, description="Retries of a refused event before it is parked.")
    outbox_retry_delay: float = Field(
        1.0,
        gt=0,
        le=600,
        description="Seconds; the n-th retry waits a random part of this times 2^n, five minutes at most.",
    )
    outbox_stale_seconds: float = Field(
        10.0,
        ge=2,
        le=600,
        description="Seconds after which another relay's silent database session is taken for frozen and ended.",
    )
    outbox_partition_days: int = Field(7, ge=1, le=90, description="Days that partitions are made ahead.")
    outbox_retention_days: int = Field(30, ge=1, le=3650, description="Days that published events are kept.")

    @field_validator("outbox_schemas")
    @classmethod
    def _names_schemas(cls, value: str) -> str:
        names = [checked_identifier(name.strip()) for name in value.split(",")]
        if len(set(names)) != len(names):
            raise ValueError("a schema is named twice")
        return value

    @property
    def schemas(self) -> list[str]:
        """Return the schemas."""
        return [name.strip() for name in self.outbox_schemas.split(",")]


class OperationsSettings(RelaySettings):
    """What looking at outboxes and queues needs beside the relay's own settings."""

    rabbitmq_management_url: str = Field(
        "",
        description="RabbitMQ's management API, e.g. http://localhost:15672, with user and password of RABBITMQ_URL "
        "unless it names its own. Without it nobody can say how many messages are unacknowledged.",
    )


class AdminSettings(OperationsSettings, HttpSettings, TokenSettings):
    """Settings of the process that operators talk to."""

    queue_measure_seconds: float = Field(10.0, ge=1, description="Time between two measurements of the queues.")
