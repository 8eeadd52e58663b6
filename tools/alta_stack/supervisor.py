"""The process behind a running stack: starts everything in order, restarts what ends, stops everything in order."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import FrameType

import asyncpg

from alta_stack.addresses import Addresses, addresses_of, outside_servers
from alta_stack.cluster import ROLES, create_roles_and_schemas
from alta_stack.credentials import load_credentials, password_variable
from alta_stack.helpers import Helper, google_engines, mail_catcher
from alta_stack.infra import Infra, Server, launch_infra
from alta_stack.postgres import PostgresServer
from alta_stack.processes import StackError, end_marked, free_ports, last_lines, until_ended
from alta_stack.report import Report
from alta_stack.running import Running
from alta_stack.services import MARKER, MIGRATIONS, SERVICES, Ports, Service, Wiring
from alta_stack.settings import CHECKOUT, Home
from alta_stack.stack_file import ServiceState, Stack, hold_lock, write_stack

_READY_WITHIN = timedelta(seconds=180)
_STOP_WITHIN = timedelta(seconds=30)


def supervise(home: Home, gateway_port: int, report: Report) -> int:
    """Run a stack in `home` until SIGTERM. Returns the process's exit status."""
    # Until the event loop listens to signals, one ends the start like an error would: with the servers stopped.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        with hold_lock(home), _servers(home, report) as (infra, addresses):
            asyncio.run(_Supervisor(home, infra, addresses, gateway_port, report).run())
    except StackError as error:
        report.failed(str(error))
        return 1
    finally:
        home.stack_file.unlink(missing_ok=True)
        report.close()
    return 0


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


@contextlib.contextmanager
def _servers(home: Home, report: Report) -> Iterator[tuple[Infra, Addresses]]:
    end_marked(MARKER, str(home.folder))
    outside = outside_servers()
    infra = launch_infra(
        home.servers,
        postgres=not outside.postgres_dsn,
        redis=not outside.redis_url,
        rabbitmq=not outside.amqp_url,
        cloud_storage=home.cloud == "emulated",
    )
    try:
        yield infra, addresses_of(infra, outside)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with report.step("stop the servers"):
            infra.stop()


class _Supervisor:
    def __init__(self, home: Home, infra: Infra, addresses: Addresses, gateway_port: int, report: Report) -> None:
        self._home = home
        self._infra = infra
        self._addresses = addresses
        self._report = report
        ports = free_ports(2 * len(SERVICES) + 3)
        self._smtp_port = 0 if outside_servers().smtp_host else ports.pop()
        engines_port = 0 if home.cloud == "local" else ports.pop()
        self._wiring = Wiring(
            home=home,
            addresses=addresses,
            credentials=load_credentials(home.secrets_file),
            ports={
                service.name: Ports(ports.pop(), gateway_port if service.name == "gateway" else ports.pop())
                for service in SERVICES
            },
            smtp_port=self._smtp_port,
            engines_port=engines_port,
        )
        helpers = [mail_catcher(self._smtp_port, ports.pop())] if self._smtp_port else []
        if engines_port:
            helpers.append(google_engines(engines_port, ports.pop(), addresses.gcs_endpoint))
        self._addresses_of_helpers = {helper.name: helper.address for helper in helpers}
        self._helpers = {helper.name: self._helping(helper) for helper in helpers}
        self._services = {service.name: self._running(service) for service in SERVICES}

    async def run(self) -> None:
        """Start, keep running until a signal, stop."""
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: task and task.cancel())
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await self._start()
                await self._keep_running()
            except StackError as error:
                # At once: stopping what already runs takes seconds.
                self._report.failed(str(error))
                raise
            finally:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, lambda: None)
                await self._stop()

    async def _start(self) -> None:
        """Start everything that waits for nothing, then what needs the database, and wait for all of it."""
        try:
            async with asyncio.TaskGroup() as group:
                for server in self._infra.servers:
                    if server.name != PostgresServer.name:
                        group.create_task(self._until_answers(server))
                # Engines take long to load, and wait for their broker by themselves.
                early = [self._services[service.name] for service in SERVICES if service.is_engine]
                for running in [*self._helpers.values(), *early]:
                    running.start()
                    group.create_task(self._until_ready(running))
                group.create_task(self._start_on_database())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        self._write()
        self._report.ready()

    async def _start_on_database(self) -> None:
        for server in self._infra.servers:
            if server.name == PostgresServer.name:
                await self._until_answers(server)
        with self._report.step("roles and schemas"):
            credentials = self._wiring.credentials
            passwords = {role: credentials[password_variable(role)] for role in ROLES}
            try:
                await create_roles_and_schemas(self._addresses.postgres_dsn, passwords, self._addresses.database)
            except (OSError, asyncpg.PostgresError) as error:
                raise StackError(f"roles and schemas could not be made in PostgreSQL: {error}") from error
        with self._report.step("migrations"):
            await asyncio.gather(*(self._migrate(service) for service in MIGRATIONS))
        rest = [self._services[service.name] for service in SERVICES if not service.is_engine]
        for running in rest:
            running.start()
        await asyncio.gather(*(self._until_ready(running) for running in rest))

    async def _until_answers(self, server: Server) -> None:
        started, starting = time.monotonic(), server.starting()
        while not await asyncio.to_thread(server.answers):
            starting.check()
            await asyncio.sleep(0.1)
        self._report.done(server.name, time.monotonic() - started)

    async def _until_ready(self, running: Running) -> None:
        seconds = await running.until_ready(_READY_WITHIN)
        self._report.done(running.name, seconds)

    async def _migrate(self, service: Service) -> None:
        log = _fresh_log(self._home.log(f"migrate-{service.name}"))
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *service.argv,
                cwd=CHECKOUT,
                env=self._wiring.environment_of(service),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            try:
                status = await process.wait()
            except asyncio.CancelledError:
                process.kill()
                raise
        if status != 0:
            raise StackError(f"the migration of {service.name} ended with status {status}.\n{last_lines(log)}")

    async def _keep_running(self) -> None:
        async with asyncio.TaskGroup() as group:
            for running in self._all():
                group.create_task(self._watch(running))
            for server in self._infra.servers:
                group.create_task(self._watch_server(server))

    async def _watch(self, running: Running) -> None:
        while True:
            how = await running.until_ended()
            print(f"{running.name} {how}; starting it again.\n{running.log_end()}", flush=True)
            await running.start_again()
            self._write()
            print(f"{running.name} runs again as {running.pid}, start {running.restarts + 1}", flush=True)

    async def _watch_server(self, server: Server) -> None:
        while True:
            if server.process is not None:
                await until_ended(server.process)
            print(f"{server.name} ended; starting it again.\n{last_lines(server.log)}", flush=True)
            try:
                server.launch()
                await self._until_answers(server)
            except (StackError, OSError) as error:
                print(error, flush=True)
                await asyncio.sleep(1)
            else:
                print(f"{server.name} runs again as {self._infra.pids[server.name]}", flush=True)
            self._write()

    async def _stop(self) -> None:
        self._home.stack_file.unlink(missing_ok=True)
        started = time.monotonic()
        for wave in sorted({service.wave for service in SERVICES}):
            names = [service.name for service in SERVICES if service.wave == wave]
            await asyncio.gather(*(self._services[name].stop(_STOP_WITHIN) for name in names))
        await asyncio.gather(*(helper.stop(_STOP_WITHIN) for helper in self._helpers.values()))
        self._report.done("stop the services", time.monotonic() - started)

    def _all(self) -> list[Running]:
        return [*self._helpers.values(), *self._services.values()]

    def _running(self, service: Service) -> Running:
        return Running(
            service.name,
            service.argv,
            self._wiring.environment_of(service),
            _fresh_log(self._home.log(service.name)),
            f"{self._wiring.internal_url(service.name)}/health/ready",
        )

    def _helping(self, helper: Helper) -> Running:
        env = self._wiring.environment_of(Service(helper.name, helper.argv[2]))
        return Running(helper.name, helper.argv, env, _fresh_log(self._home.log(helper.name)), helper.ready_url)

    def _write(self) -> None:
        services: dict[str, ServiceState] = {}
        for service in SERVICES:
            services[service.name] = self._state(self._services[service.name], self._wiring.internal_url(service.name))
            if service.http:
                services[service.name]["url"] = f"http://127.0.0.1:{self._wiring.ports[service.name].http}"
        servers = self._infra.pids | {name: running.pid for name, running in self._helpers.items()}
        stack = Stack(
            cloud=self._home.cloud,
            gateway=self._wiring.gateway_url,
            mail=self._addresses_of_helpers.get("mail", ""),
            smtp=f"127.0.0.1:{self._smtp_port}" if self._smtp_port else "",
            rabbitmq_management=self._addresses.rabbitmq_management,
            amqp_url=self._addresses.amqp_url,
            redis_url=self._addresses.redis_url,
            postgres_dsn=self._addresses.postgres_dsn,
            gcs_endpoint=self._addresses.gcs_endpoint,
            google_engines=self._addresses_of_helpers.get("google-engines", ""),
            supervisor_pid=os.getpid(),
            servers=servers,
            services=services,
        )
        write_stack(self._home.stack_file, stack)

    def _state(self, running: Running, internal_url: str) -> ServiceState:
        return ServiceState(
            pid=running.pid,
            internal_url=internal_url,
            restarts=running.restarts,
            started_at=running.started_at.isoformat(timespec="seconds"),
            last_exit=running.last_exit,
        )


def _fresh_log(log: Path) -> Path:
    """Keep the log of the run before this one beside it, and no older ones."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    return log
