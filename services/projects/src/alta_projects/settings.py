"""What this service reads from the environment."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from alta_common.settings import (
    HttpSettings,
    PostgresSettings,
    RabbitmqSettings,
    ServiceSettings,
    Settings,
    StorageSettings,
    TokenSettings,
)

SERVICE = "projects"
SCHEMA = "projects"


class ProjectsSettings(ServiceSettings, HttpSettings, PostgresSettings, StorageSettings, TokenSettings):
    """Settings of the HTTP process."""

    document_max_bytes: int = Field(100 * 1024**2, gt=0, description="Largest document that is taken in.")
    voice_max_bytes: int = Field(1024**3, gt=0, description="Largest recording that is taken in.")
    unclaimed_object_hours: float = Field(24.0, gt=0, description="After this a stored file without a row is swept.")
    wait_look_again_seconds: float = Field(
        5.0, gt=0, description="How often a long poll looks by itself, should news of a change be lost."
    )

    processing_deadline_hours: float = Field(
        24.0, gt=0, le=168, description="What is not read after this fails with `timeout`; projects may set their own."
    )

    render_workers: int = Field(2, ge=1, le=64, description="Processes that make searchable PDFs and images of pages.")
    render_waiting: int = Field(
        32, ge=0, description="Requests that may wait for one of RENDER_WORKERS; more are told to come again."
    )
    render_seconds: float = Field(60.0, gt=0, description="How long making one PDF or image may take.")
    render_memory_mb: int = Field(1536, ge=256, description="Address space of a process that renders, in MiB.")
    render_copies_mb: int = Field(
        512, ge=0, description="Originals that are kept on disk for the next page of the same document, in MiB."
    )

    live_streams: int = Field(500, ge=1, description="Event streams of one process; more are told to come again.")
    live_heartbeat_seconds: float = Field(
        15.0, gt=0, description="How often an event stream says that it is there, and asks whether it still may be."
    )

    @property
    def live_heartbeat(self) -> timedelta:
        """Return the time between two signs of life of an event stream."""
        return timedelta(seconds=self.live_heartbeat_seconds)

    @property
    def processing_patience(self) -> timedelta:
        """Return how long a run may take where the project's settings say nothing."""
        return timedelta(hours=self.processing_deadline_hours)

    @property
    def unclaimed_for(self) -> timedelta:
        """Return how long a stored file may lie without a row."""
        return timedelta(hours=self.unclaimed_object_hours)

    @property
    def wait_look_again(self) -> timedelta:
        """Return how often a long poll looks by itself."""
        return timedelta(seconds=self.wait_look_again_seconds)


class ProjectsWorkerSettings(ServiceSettings, PostgresSettings, RabbitmqSettings, StorageSettings):
    """Settings of the consumer process."""

    results_prefetch: int = Field(10, ge=1, le=200, description="Results that are taken in at once.")
    results_partitions: int = Field(
        0,
        ge=0,
        le=64,
        description="Partitions to take results in strictly in order of each item; 0: as they come, which is faster. "
        "The same in all replicas (docs/adr/0017).",
    )
    inbox_retention_days: int = Field(
        30, ge=1, description="How long it is remembered that an event was handled; what comes again later is new."
    )
    sweep_interval_seconds: float = Field(600.0, gt=0, description="Time between two sweeps.")
    run_watch_interval_seconds: float = Field(
        30.0, gt=0, description="Time between two looks for runs that are past their deadline."
    )
    failure_mail_check_seconds: float = Field(
        30.0, gt=0, description="Time between two looks for failures that nobody has been told of."
    )
    failure_mail_pause_minutes: float = Field(
        15.0, ge=0, description="Time between two mails to one person about the failures of one project."
    )

    @property
    def inbox_memory(self) -> timedelta:
        """Return how long handled events are remembered."""
        return timedelta(days=self.inbox_retention_days)


class OutboxRelaySettings(Settings):
    """Who drains the outbox."""

    outbox_relay_role: str = Field("alta_relay", description="Role of the outbox relay; gets the outbox tables.")


class ProjectsMigrateSettings(PostgresSettings):
    """Settings of the migration."""

    migrations_dir: Path = Field(
        Path(__file__).resolve().parents[2] / "migrations", description="Folder of the migration scripts."
    )
