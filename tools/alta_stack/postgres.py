"""A private PostgreSQL server in a folder."""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

from alta_stack.processes import (
    StackError,
    Starting,
    end_leftovers,
    find_program,
    free_ports,
    last_lines,
    spawn,
    stop,
)
from alta_stack.settings import plain_environment

SUPERUSER = "postgres"
_NAMES = frozenset({"postgres"})


class PostgresServer:
    """One server with its data under `folder`; as root it runs under an account that is not."""

    name = "postgres"

    def __init__(self, folder: Path, password: str, *, durable: bool) -> None:
        self._password = password
        self._durable = durable
        self._account = _other_account()
        self._bin = _find_binaries()
        self.log = folder / "postgres.log"
        self.data = place_of_data(folder, self._account)
        (self.port,) = free_ports(1)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """The superuser's URL of the maintenance database."""
        return f"postgresql://{SUPERUSER}:{self._password}@127.0.0.1:{self.port}/postgres"

    def launch(self) -> None:
        """Create the data folder when it is new, and start the server."""
        end_leftovers(self.data, _NAMES)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_min_messages": "warning",
        }
        if not self._durable:
            options |= {"fsync": "off", "full_page_writes": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        # A fast shutdown, also when our own process is killed: PostgreSQL would wait for its clients on TERM.
        self.process = self._spawn([f"{self._bin}/postgres", "-D", str(self.data), *settings])

    def starting(self) -> Starting:
        """Return what watches its start."""
        if self.process is None:
            raise StackError("PostgreSQL was not launched")
        return Starting(self.process, "PostgreSQL", self.log, timedelta(seconds=60))

    def answers(self) -> bool:
        """Say whether it takes connections."""
        probe = [f"{self._bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(probe, check=False, env=plain_environment()).returncode == 0

    def stop(self) -> None:
        """Stop cleanly, ending open connections."""
        if self.process is not None:
            stop(self.process, signal.SIGINT, timedelta(seconds=20))

    def kill(self) -> None:
        """Stop at once; the data is about to be deleted."""
        if self.process is not None:
            stop(self.process, signal.SIGQUIT, timedelta(seconds=5))

    def _initialise(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True, mode=0o700)
        password_file = self.data.with_name(f"{self.data.name}.password")
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, encoding="utf-8")
        if self._account is not None:
            os.chown(self.data, self._account.pw_uid, self._account.pw_gid)
            os.chown(password_file, self._account.pw_uid, self._account.pw_gid)
        initdb = self._spawn(
            [
                *(f"{self._bin}/initdb", "--pgdata", str(self.data), "--username", SUPERUSER),
                *("--auth", "scram-sha-256", "--pwfile", str(password_file)),
                *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions"),
            ]
        )
        status = initdb.wait()
        password_file.unlink()
        if status != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise StackError(f"PostgreSQL's initdb ended with status {status}.\n{last_lines(self.log)}")

    def _spawn(self, argv: list[str]) -> subprocess.Popen[bytes]:
        return spawn(
            argv, cwd=self.data, env=plain_environment(), log=self.log, death_signal="INT", account=self._account
        )


def place_of_data(folder: Path, account: pwd.struct_passwd | None = None) -> Path:
    """Return where the data goes: in `folder`, or in /var/tmp when PostgreSQL's account cannot reach that."""
    account = account or _other_account()
    inside = folder / "postgres"
    if account is None or _can_reach(account, folder):
        return inside
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"alta-{digest}" / "postgres"  # noqa: S108 - a name of our own, mode 700


def _other_account() -> pwd.struct_passwd | None:
    """Return who the server runs as when we are root: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


def _can_reach(account: pwd.struct_passwd, folder: Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    return all(_may_enter(account, step) for step in (folder, *folder.parents))


def _may_enter(account: pwd.struct_passwd, folder: Path) -> bool:
    state = folder.stat()
    if state.st_uid == account.pw_uid:
        return bool(state.st_mode & 0o100)
    if state.st_gid == account.pw_gid:
        return bool(state.st_mode & 0o010)
    return bool(state.st_mode & 0o001)


def _find_binaries() -> str:
    versions = sorted(
        (path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")),
        key=lambda path: float(path.parent.name),
        reverse=True,
    )
    folders = [str(path) for path in versions]
    return str(Path(find_program("initdb", *folders, package="postgresql")).parent)
