"""A private RabbitMQ node in a folder, with its management page and its Prometheus metrics."""

import base64
import signal
import subprocess
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path

from alta_stack.processes import StackError, Starting, end_leftovers, find_program, free_ports, spawn, stop
from alta_stack.settings import plain_environment

USER = "alta"
_NAMES = frozenset({"beam.smp", "epmd", "erl_child_setup", "inet_gethost", "rabbitmq-server"})
# The last one spreads the partitions of ordered consumers (docs/adr/0017).
_PLUGINS = ("rabbitmq_management", "rabbitmq_prometheus")
# Erlang's schedulers spin while they wait; on a developer's machine the processor has better things to do.
_QUIET = "+sbwt none +sbwtdcpu none +sbwtdio none"


class RabbitmqServer:
    """One node with its own name service (epmd), ports, cookie and data; it never meets the system's."""

    name = "rabbitmq"

    def __init__(self, folder: Path, password: str) -> None:
        # Debian's wrapper in /usr/sbin insists on the account `rabbitmq`; the script behind it does not.
        self._program = find_program("rabbitmq-server", "/usr/lib/rabbitmq/bin", package="rabbitmq-server")
        self._epmd_program = find_program("epmd", package="erlang-base")
        self._password = password
        self._folder = folder / "rabbitmq"
        self.log = folder / "rabbitmq.log"
        self.port, self.management_port, self.metrics_port, self._epmd_port, self._node_port = free_ports(5)
        self.process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The broker's URL, user and password included."""
        return f"amqp://{USER}:{self._password}@127.0.0.1:{self.port}/"

    @property
    def management(self) -> str:
        """The management page and API; user and password are those of `url`."""
        return f"http://127.0.0.1:{self.management_port}"

    @property
    def metrics(self) -> str:
        """The node's Prometheus metrics."""
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    def launch(self) -> None:
        """Start the name service and the node."""
        end_leftovers(self._folder, _NAMES)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_configuration()
        env = self._environment()
        self._epmd = spawn(
            [self._epmd_program, "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            cwd=self._folder,
            env=env,
            log=self.log,
        )
        self.process = spawn([self._program], cwd=self._folder, env=env, log=self.log)

    def starting(self) -> Starting:
        """Return what watches its start."""
        if self.process is None:
            raise StackError("RabbitMQ was not launched")
        return Starting(self.process, "RabbitMQ", self.log, timedelta(seconds=120))

    def stop(self) -> None:
        """Stop the node cleanly, then its name service."""
        if self.process is not None:
            stop(self.process, signal.SIGTERM, timedelta(seconds=30))
        self._stop_epmd()

    def kill(self) -> None:
        """Stop at once; the data is about to be deleted."""
        if self.process is not None:
            stop(self.process, signal.SIGKILL, timedelta(seconds=5))
        self._stop_epmd()

    def _stop_epmd(self) -> None:
        if self._epmd is not None:
            stop(self._epmd, signal.SIGTERM, timedelta(seconds=2))

    def _write_configuration(self) -> None:
        config = self._folder / "rabbitmq.conf"
        config.touch(mode=0o600)
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management_port}",
            "prometheus.tcp.ip = 127.0.0.1",
            f"prometheus.tcp.port = {self.metrics_port}",
            f"default_user = {USER}",
            f"default_pass = {self._password}",
            "default_user_tags.administrator = true",
            "disk_free_limit.absolute = 50MB",
            "log.console = true",
            "log.console.level = warning",
            "log.file = false",
        ]
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self._folder / "enabled_plugins").write_text(f"[{','.join(_PLUGINS)}].\n", encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return plain_environment() | {
            "HOME": str(folder),  # Erlang's cookie
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "alta@localhost",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # else the system's rabbitmq-env.conf speaks here too
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {_QUIET}",
            "RABBITMQ_CTL_ERL_ARGS": _QUIET,  # on a busy machine rabbitmqctl would take ten times as long
            # Makes the script become the node instead of watching over it, so that our signals reach the node.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def answers(self) -> bool:
        """Say whether it takes connections and its management API answers."""
        token = base64.b64encode(f"{USER}:{self._password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - our own http address
            f"{self.management}/api/health/checks/port-listener/{self.port}",
            headers={"Authorization": f"Basic {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310 - as above
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
