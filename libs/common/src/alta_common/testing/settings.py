"""Where tests find servers that already run."""

from pydantic import Field

from alta_common.settings import Settings


class ServerAddresses(Settings):
    """Servers that are for tests only; without an address the tests start their own."""

    alta_test_postgres_dsn: str = Field("", description="Superuser's URL of PostgreSQL; roles get test passwords.")
    alta_test_redis_url: str = Field("", description="Redis; databases 1-15 are flushed.")
    alta_test_rabbitmq_url: str = Field("", description="RabbitMQ, as a user who may create virtual hosts.")
    alta_test_rabbitmq_management: str = Field("", description="Its management API; empty: port 15672 of its host.")
