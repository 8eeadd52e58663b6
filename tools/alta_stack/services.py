"""The processes of Alta Data and the environment that each of them gets."""

import sys
from dataclasses import dataclass

from alta_stack.addresses import Addresses
from alta_stack.cloud_storage import BUCKET, PROJECT
from alta_stack.credentials import password_variable
from alta_stack.settings import Home, environment


@dataclass(frozen=True)
class Service:
    """One process."""

    name: str
    module: str
    role: str = ""
    """Its database role; empty: it has no database."""
    http: bool = False
    """It answers HTTP requests besides those for its health."""
    secrets: tuple[str, ...] = ()
    is_engine: bool = False
    """It loads models and needs no database."""
    wave: int = 2
    """When it is stopped: those that take work in go first."""

    @property
    def argv(self) -> list[str]:
        """How it is started."""
        return [sys.executable, "-m", self.module]


# Set in every process of a stack to the folder of the stack, by which what a killed supervisor left behind is found.
MARKER = "ALTA_STACK"

_MAILS = ("MAIL_SEALING_KEY",)

SERVICES = (
    Service("gateway", "alta_gateway.main", http=True, wave=0),
    Service(
        "identity",
        "alta_identity.main",
        role="alta_identity",
        http=True,
        secrets=(*_MAILS, "IDENTITY_KEY_ENCRYPTION_KEY", "IDENTITY_PASSWORD_PEPPER"),
        wave=1,
    ),
    Service("projects", "alta_projects.main", role="alta_projects", http=True, secrets=_MAILS, wave=1),
    Service("projects-worker", "alta_projects.worker", role="alta_projects", secrets=_MAILS),
    Service("ocr", "alta_ocr.worker", is_engine=True),
    Service("transcription", "alta_transcription.worker", is_engine=True),
    Service("notifications", "alta_notifications.worker", role="alta_notifications", secrets=_MAILS),
    Service("outbox-relay", "alta_outbox_relay.main", role="alta_relay"),
    Service("outbox-admin", "alta_outbox_relay.admin", role="alta_relay", http=True, wave=1),
)

MIGRATIONS = tuple(
    Service(service.name, f"{service.module.partition('.')[0]}.migrate", role=service.role, secrets=service.secrets)
    for service in SERVICES
    if service.name in {"identity", "projects", "notifications"}
)


@dataclass(frozen=True)
class Ports:
    """Where one process listens."""

    internal: int
    http: int = 0


@dataclass(frozen=True)
class Wiring:
    """What all processes of one stack have to know about each other."""

    home: Home
    addresses: Addresses
    credentials: dict[str, str]
    ports: dict[str, Ports]
    smtp_port: int
    """The mail catcher's; 0 when the environment names another mail server."""
    engines_port: int = 0
    """That of Google's emulated engines; 0 when the stack has no emulated cloud."""

    @property
    def gateway_url(self) -> str:
        """Where clients go."""
        return f"http://localhost:{self.ports['gateway'].http}"

    def internal_url(self, name: str) -> str:
        """Where a process serves health and metrics."""
        return f"http://127.0.0.1:{self.ports[name].internal}"

    def environment_of(self, service: Service) -> dict[str, str]:
        """Return a process's whole environment: the stack's wiring, over which the caller's own settings win."""
        given = {name: value for name, value in environment().items() if value and name not in _NOT_PASSED_ON}
        fixed = self._fixed(service)
        return self._defaults() | given | fixed | {name: self.credentials[name] for name in service.secrets}

    def _defaults(self) -> dict[str, str]:
        identity, projects, operations = (
            f"http://127.0.0.1:{self.ports[name].http}" for name in ("identity", "projects", "outbox-admin")
        )
        values = {
            "REDIS_URL": self.addresses.redis_url,
            "RABBITMQ_URL": self.addresses.amqp_url,
            "RABBITMQ_MANAGEMENT_URL": self.addresses.rabbitmq_management,
            "STORAGE_DIR": str(self.home.storage),
            "IDENTITY_URL": identity,
            "PROJECTS_URL": projects,
            "OUTBOX_ADMIN_URL": operations,
            "AUTH_JWKS_URL": f"{identity}/.well-known/jwks.json",
            "PUBLIC_URL": self.gateway_url,
            "HEALTH_URLS": ",".join(f"{name}={self.internal_url(name)}/health/ready" for name in self._reported),
            "OUTBOX_RELAY_ROLE": "alta_relay",
            "DRAIN_SECONDS": "10",
            "SMTP_HOST": "127.0.0.1",
            "PYTHONUNBUFFERED": "1",
            # On one machine every client has the same address, and a developer's scripts are one impatient user: what
            # is meant for a stranger on the internet would stop them. A deployment keeps the gateway's own limits.
            "LIMIT_ANONYMOUS": "600/60/100",
            "LIMIT_USER": "3000/60/300",
            "LIMIT_LOGIN_ADDRESS": "300/300/300",
            "CONNECTIONS_PER_ADDRESS": "1000",
            # The engines beside it keep this machine busy: a slow answer of Redis does not mean that Redis is away.
            "REDIS_TIMEOUT_SECONDS": "0.25",
        }
        if self.smtp_port:
            values |= {"SMTP_PORT": str(self.smtp_port), "SMTP_STARTTLS": "false"}
        if self.engines_port:
            # The services' own workers only prepare files for the engines, whose workers do what takes long.
            values |= {"OCR_ENGINE": "documentai", "TRANSCRIPTION_ENGINE": "google-speech", "OCR_WORKERS": "1"}
        return values

    @property
    def _reported(self) -> list[str]:
        return [service.name for service in SERVICES if service.name != "gateway"]

    def _fixed(self, service: Service) -> dict[str, str]:
        """What must differ from one process to the next, so that one value for all of them would be wrong."""
        ports = self.ports.get(service.name, Ports(internal=0))
        values = {
            MARKER: str(self.home.folder),
            "INTERNAL_HOST": "127.0.0.1",
            "INTERNAL_PORT": str(ports.internal),
        }
        if self.engines_port:
            values |= self._emulated_cloud()
        if service.http:
            values["HTTP_PORT"] = str(ports.http)
        if service.name != "gateway":
            values["HTTP_HOST"] = "127.0.0.1"
        if service.role:
            password = self.credentials[password_variable(service.role)]
            values |= self.addresses.postgres_environment(service.role, password)
        return values

    def _emulated_cloud(self) -> dict[str, str]:
        """Point at the emulators, whatever the caller's own settings are: nothing may reach the real cloud."""
        engines = f"127.0.0.1:{self.engines_port}"
        return {
            "GCS_PROJECT_ID": PROJECT,
            "GCS_BUCKET_NAME": BUCKET,
            "GCS_ENDPOINT": self.addresses.gcs_endpoint,
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "DOCUMENTAI_ENDPOINT": engines,
            "DOCUMENTAI_PROCESSOR": "emulated",
            "SPEECH_ENDPOINT": engines,
            "SPEECH_MODEL": "long",
        }


# Our own secrets go only to the services that need them, an administrator's password to none; and caching compiled
# modules makes the second start of nine Python processes much quicker than the first.
_NOT_PASSED_ON = frozenset(
    {
        "PYTHONDONTWRITEBYTECODE",
        "OTEL_SERVICE_NAME",
        "MAIL_SEALING_KEY",
        "IDENTITY_KEY_ENCRYPTION_KEY",
        "IDENTITY_PASSWORD_PEPPER",
        "POSTGRES_USER",
        "POSTGRES_PASSWORD",
    }
)
