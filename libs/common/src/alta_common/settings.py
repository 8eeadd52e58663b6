"""Settings that several services share. A service's `settings.py` combines the parts that it needs.

Every name is an environment variable in upper case (see `env.example`). A missing or malformed one stops the
process with a message that names it.
"""

import sys
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The base of all settings: reads the environment, ignores names that are not its own."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)


class ServiceSettings(Settings):
    """What every process has."""

    internal_host: str = Field("127.0.0.1", description="Address that health and metrics listen on.")
    internal_port: int = Field(9090, ge=0, le=65535, description="Port of /health/live, /health/ready and /metrics.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    otel_exporter_otlp_endpoint: str = Field("", description="OTLP/gRPC collector, e.g. http://otel:4317; empty: none.")
    otel_service_name: str = Field("", description="Name in traces and logs; empty: the service's own.")
    otel_traces_sampler_arg: float = Field(1.0, ge=0, le=1, description="Share of new traces that are recorded.")
    drain_seconds: float = Field(25.0, gt=0, description="How long running work may take after SIGTERM.")


class HttpSettings(Settings):
    """What every HTTP process has."""

    http_host: str = Field("127.0.0.1", description="Address that the API listens on.")
    http_port: int = Field(8000, ge=0, le=65535, description="Port that the API listens on.")


class PostgresSettings(Settings):
    """Where the database is."""

    postgres_host: str = Field("localhost", description="PostgreSQL host name, or a folder with its socket.")
    postgres_port: int = Field(5432, ge=1, le=65535, description="PostgreSQL port.")
    postgres_db: str = Field("alta", description="Database name.")
    postgres_user: str = Field(description="Role of this service.")
    postgres_password: SecretStr = Field(description="Password of the role.")
    postgres_pool_size: int = Field(10, ge=1, le=200, description="Connections that one process keeps.")
    postgres_pool_timeout_seconds: float = Field(5.0, gt=0, description="How long a request waits for a connection.")

    @property
    def postgres_url(self) -> str:
        """Return the URL for SQLAlchemy with asyncpg."""
        return "postgresql+asyncpg://" + self._address

    @property
    def postgres_dsn(self) -> str:
        """Return the URL for asyncpg itself."""
        return "postgresql://" + self._address

    @property
    def _address(self) -> str:
        password = quote(self.postgres_password.get_secret_value(), safe="")
        user = quote(self.postgres_user, safe="")
        return f"{user}:{password}@{self.postgres_host}:{self.postgres_port}/{quote(self.postgres_db, safe='')}"


class RedisSettings(Settings):
    """Where Redis is."""

    redis_url: str = Field(description="Redis, e.g. redis://:password@localhost:6379/0.")


class RabbitmqSettings(Settings):
    """Where the broker is."""

    rabbitmq_url: str = Field(description="RabbitMQ, e.g. amqp://user:password@localhost:5672/.")


class StorageSettings(Settings):
    """Where files are kept: a Cloud Storage bucket when one is named, else a local folder."""

    gcs_project_id: str = Field("", description="Google Cloud project of the bucket and the engines.")
    gcs_bucket_name: str = Field("", description="Cloud Storage bucket; empty: files go to STORAGE_DIR.")
    gcs_endpoint: str = Field("", description="Another address of Cloud Storage's API (an emulator's).")
    google_application_credentials: Path | None = Field(None, description="Service account file; empty: the default.")
    storage_dir: Path = Field(Path(".alta/storage"), description="Folder of the embedded object storage.")


class GoogleSettings(Settings):
    """How fast one process calls an engine of Google. Its replicas share the project's quota: give each its part."""

    google_requests_per_minute: float = Field(
        300.0, gt=0, description="Requests a minute that one process makes; Document AI's quota is 600 for a project."
    )
    google_concurrency: int = Field(8, ge=1, le=256, description="Requests that one process has under way at a time.")
    google_attempt_seconds: float = Field(120.0, gt=0, description="How long one request may take before it is ended.")
    google_retry_seconds: float = Field(
        300.0,
        gt=0,
        description="How long a request is repeated while Google is away; then the job waits in its queue.",
    )


class SealingSettings(Settings):
    """Keys that seal what mail events carry."""

    mail_sealing_key: SecretStr = Field(description="Fernet keys, comma separated, newest first.")

    @property
    def sealing_keys(self) -> list[str]:
        """Return the keys, newest first."""
        return [key.strip() for key in self.mail_sealing_key.get_secret_value().split(",") if key.strip()]


class TokenSettings(Settings):
    """How access tokens are recognised."""

    auth_issuer: str = Field("alta-identity", description="`iss` of access tokens.")
    auth_audience: str = Field("alta", description="`aud` of access tokens.")
    auth_jwks_url: str = Field("http://localhost:8101/.well-known/jwks.json", description="Identity's public keys.")


S = TypeVar("S", bound=Settings)


def load(settings: type[S]) -> S:
    """Return `settings` read from the environment, or stop the process naming each missing or malformed variable."""
    try:
        return settings()
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        sys.stderr.write("The settings cannot be used:\n" + "\n".join(lines) + "\n")
        raise SystemExit(2) from None
