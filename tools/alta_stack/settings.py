"""What the local stack takes from the environment, and where it keeps things."""

import os  # the one place of the tools that reads it
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """Return a copy of the environment that the command was started with."""
    return dict(os.environ)  # noqa: TID251 - this is the tools' settings module


def plain_environment() -> dict[str, str]:
    """Return the little that the private servers need: nothing of the caller's settings may reach them."""
    kept = {name: value for name, value in environment().items() if name in {"PATH", "TZ", "TMPDIR"}}
    path = kept.get("PATH", "")
    # Debian keeps redis-server and setpriv where an ordinary user's PATH may not reach.
    return kept | {
        "PATH": f"{path}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }


@dataclass(frozen=True)
class Home:
    """The folder of one stack: ALTA_HOME, else `.alta` in the checkout. Two folders are two stacks."""

    folder: Path

    @property
    def stack_file(self) -> Path:
        """Where the running stack is described (`stack.json`)."""
        return self.folder / "stack.json"

    @property
    def secrets_file(self) -> Path:
        """Keys and passwords, made once."""
        return self.folder / "secrets.env"

    @property
    def lock_file(self) -> Path:
        """Held by the supervisor while it runs; its pid is inside."""
        return self.folder / "supervisor.lock"

    @property
    def servers(self) -> Path:
        """Data of PostgreSQL, Redis and RabbitMQ."""
        return self.folder / "servers"

    @property
    def storage(self) -> Path:
        """Files of the embedded object storage."""
        return self.folder / "storage"

    def log(self, name: str) -> Path:
        """Where a process of the stack writes what it prints."""
        return self.folder / "logs" / f"{name}.log"


def home() -> Home:
    """Return the folder that the environment names."""
    named = environment().get("ALTA_HOME")
    return Home(Path(named).resolve() if named else CHECKOUT / ".alta")


def gateway_port() -> int | None:
    """Return the port that the gateway should have; `None` for any free one. Raises `ValueError`."""
    value = environment().get("GATEWAY_PORT") or "8000"
    if not value.isdecimal() or int(value) > 65535:
        raise ValueError(f"GATEWAY_PORT is {value!r}; it must be a port, or 0 for any free one")
    return int(value) or None
