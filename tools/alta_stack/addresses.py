"""Where PostgreSQL, Redis, RabbitMQ and the mail server of a stack are: our own, or those the environment names."""

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from alta_stack.infra import Infra
from alta_stack.processes import StackError
from alta_stack.settings import environment


@dataclass(frozen=True)
class Outside:
    """Servers that already run and that the stack should use instead of its own; empty means: start one."""

    postgres_dsn: str
    redis_url: str
    amqp_url: str
    rabbitmq_management: str
    smtp_host: str


def outside_servers() -> Outside:
    """Return what the environment points at. Raises `StackError` when an address is incomplete."""
    given = environment()
    return Outside(
        postgres_dsn=_postgres_dsn(given),
        redis_url=given.get("REDIS_URL", ""),
        amqp_url=given.get("RABBITMQ_URL", ""),
        rabbitmq_management=given.get("RABBITMQ_MANAGEMENT_URL", ""),
        smtp_host=given.get("SMTP_HOST", ""),
    )


def _postgres_dsn(given: dict[str, str]) -> str:
    host = given.get("POSTGRES_HOST", "")
    if not host:
        return ""
    missing = [name for name in ("POSTGRES_USER", "POSTGRES_PASSWORD") if not given.get(name)]
    if missing:
        raise StackError(
            f"POSTGRES_HOST is set to {host}, but {' and '.join(missing)} are not. The local stack needs a role that "
            "may create roles and databases; it makes the services' own roles with it."
        )
    user, password = quote(given["POSTGRES_USER"], safe=""), quote(given["POSTGRES_PASSWORD"], safe="")
    return f"postgresql://{user}:{password}@{host}:{given.get('POSTGRES_PORT') or 5432}/postgres"


@dataclass(frozen=True)
class Addresses:
    """Everything that services are told about the servers."""

    postgres_dsn: str
    """An administrator's, of the services' database."""
    redis_url: str
    amqp_url: str
    rabbitmq_management: str
    database: str
    gcs_endpoint: str = ""
    """Of the emulated Cloud Storage; empty: the stack has none."""

    def postgres_environment(self, role: str, password: str) -> dict[str, str]:
        """Return a role's POSTGRES_… variables."""
        parts = urlsplit(self.postgres_dsn)
        return {
            "POSTGRES_HOST": unquote(parts.hostname or "localhost"),
            "POSTGRES_PORT": str(parts.port or 5432),
            "POSTGRES_DB": self.database,
            "POSTGRES_USER": role,
            "POSTGRES_PASSWORD": password,
        }


def addresses_of(infra: Infra, outside: Outside) -> Addresses:
    """Join what the stack started with what was there."""
    database = environment().get("POSTGRES_DB") or "alta"
    admin = outside.postgres_dsn or infra.postgres_dsn
    return Addresses(
        postgres_dsn=admin.rpartition("/")[0] + f"/{database}",
        redis_url=outside.redis_url or infra.redis_url,
        amqp_url=outside.amqp_url or infra.amqp_url,
        rabbitmq_management=outside.rabbitmq_management if outside.amqp_url else infra.rabbitmq_management,
        database=database,
        gcs_endpoint=infra.gcs_endpoint,
    )
