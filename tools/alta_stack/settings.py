"""What the local stack takes from the environment, and where it keeps things."""

import os  # the one place of the tools that reads it
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

CHECKOUT = Path(__file__).resolve().parents[2]

Cloud = Literal["local", "emulated"]
"""Who reads, transcribes and stores: the local engines in a folder, or Google's APIs, emulated on this machine."""


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
    """The folder of one stack: ALTA_HOME, else `.alta` in the checkout. Two folders are two stacks.

    The emulated cloud has a folder of its own beside the other's, because neither sees the files of the other.
    """

    folder: Path
    cloud: Cloud = "local"

    def in_cloud(self, cloud: Cloud) -> "Home":
        """Return the folder where `cloud` keeps its stack: this one, or one beside this local one."""
        if cloud in {"local", self.cloud}:
            return self
        return Home(self.folder.with_name(f"{self.folder.name}-{cloud}"), cloud)

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


def local_home() -> Home:
    """Return the folder of the stack without a cloud, which the environment names."""
    named = environment().get("ALTA_HOME")
    return Home(Path(named).resolve() if named else CHECKOUT / ".alta")


def cloud() -> Cloud | None:
    """Return what CLOUD names; `None` when it says nothing. Raises `ValueError`."""
    value = environment().get("CLOUD")
    if not value:
        return None
    for known in get_args(Cloud):
        if value == known:
            chosen: Cloud = known
            return chosen
    raise ValueError(f"CLOUD is {value!r}; it must be one of {', '.join(get_args(Cloud))}")


def gateway_port() -> int | None:
    """Return the port that the gateway should have; `None` for any free one. Raises `ValueError`."""
    value = environment().get("GATEWAY_PORT") or "8000"
    if not value.isdecimal() or int(value) > 65535:
        raise ValueError(f"GATEWAY_PORT is {value!r}; it must be a port, or 0 for any free one")
    return int(value) or None
