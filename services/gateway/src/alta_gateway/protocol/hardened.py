"""uvicorn's HTTP protocol, made fit for the open internet.

As it comes, it waits for ever for slow clients, takes heads of any size, merges chunked trailers into the request's
headers, and loses the body of a request that asks for an upgrade. It also resets a connection whose body it refuses,
so that the client never reads why.
"""

import asyncio
from contextvars import Context
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from alta_gateway.answers import RawHeaders, Refusal
from alta_gateway.protocol import rules
from alta_gateway.protocol.closing import AnswerTransport
from alta_gateway.protocol.connections import Connections
from alta_gateway.protocol.pace import Late, Pace, Phase
from alta_gateway.protocol.refusals import refusal_bytes, refusal_of, too_many_fields, too_slow


class HardenedProtocol(HttpToolsProtocol):
    """One connection. `edge` is set by a subclass: see `protocol_for`."""

    edge: ClassVar[Connections]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings = self.edge.settings
        self.url = b""
        self.headers: RawHeaders = []
        self._pace = Pace(self.settings, self.loop.time())
        self._fields = 0
        self._head_done = False
        self._has_body = False
        self._muted = False
        self._running: RequestResponseCycle | None = None
        self._task: asyncio.Task[None] | None = None
        self._pending: Refusal | None = None
        self._answer_transport: Any = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        self._answer_transport = AnswerTransport(transport, self.end_after_answer)
        if not self.edge.admit(self, self._address):
            retry = [(b"retry-after", b"5")]
            self._write_refusal(Refusal(503, "too_many_connections", "Too many connections are open.", retry))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what was being done for the client: it is gone."""
        self.edge.release(self, self._address)
        self._pace.phase = Phase.LINGER
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            if self._task is not None:
                self._task.cancel()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Break off an answer, so that the client knows it is not whole."""
        if self._running is not None:
            self._running.disconnected = True
        self.transport.abort()

    @property
    def is_gone(self) -> bool:
        """Say whether the present request's client went away, or was sent away, before its answer was whole."""
        return self._running is not None and self._running.disconnected

    def allow_slow_body(self, idle_seconds: float) -> None:
        """Let the present request's body pause longer than others may."""
        self._pace.body_idle_seconds = idle_seconds

    def end_after_answer(self) -> None:
        """Close once an answer is out; while a body still comes, only our side, or the client would not read it."""
        if self._pace.phase in (Phase.BODY, Phase.HEAD) or self.pipeline or self.flow.read_paused:
            self._linger()
        else:
            self.transport.close()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _linger(self) -> None:
        if self.transport.is_closing():
            return
        self._pace.touched = self.loop.time()
        self._pace.begin(Phase.LINGER, self._pace.touched)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # What comes in

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        pace = self._pace
        pace.touched = self.loop.time()
        if pace.phase is Phase.LINGER:
            return
        self._unset_keepalive_if_required()
        if pace.phase is Phase.HEAD or pace.phase is Phase.BODY:
            pace.received += len(data)
        else:
            pace.begin(Phase.HEAD, pace.touched, len(data))
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as pause:
            self._go_on_without_upgrade(data[pause.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refusal) else refusal_of(error))
        else:
            limit = self.settings.head_max_bytes + self.settings.target_max_bytes
            if self._pace.phase is Phase.HEAD and self._pace.received > limit:
                self._refuse(too_many_fields())

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        # RFC 9110 section 7.8: an upgrade may be ignored. llhttp cannot be told so: another parser reads what follows.
        self.parser = httptools.HttpRequestParser(self)
        if self._has_body:
            self._muted = True
            framing = next(pair for pair in self.headers if pair[0] in (b"content-length", b"transfer-encoding"))
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + b": ".join(framing) + b"\r\n\r\n")
        if rest:
            self._feed(rest)

    def on_message_begin(self) -> None:
        """Begin a request's head."""
        if self._muted:
            return
        if self._pace.phase is not Phase.HEAD:
            self._pace.begin(Phase.HEAD, self._pace.touched)
        self._fields = 0
        self._head_done = self._has_body = False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        if self._muted:
            return
        self.url += url
        if len(self.url) > self.settings.target_max_bytes:
            raise Refusal(414, "uri_too_long", f"The target is over {self.settings.target_max_bytes} bytes long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. After the head it is a trailer, which must never become a header: dropped."""
        if self._head_done:
            return
        self._fields += len(name) + len(value) + 4
        if len(self.headers) >= self.settings.head_max_count or self._fields > self.settings.head_max_bytes:
            raise too_many_fields()
        name = name.lower()
        value = value.strip(b" \t")
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        elif name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")):
            self._has_body = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head and start on the request."""
        if self._muted:
            self._muted = False
            return
        self._head_done = True
        method = self.parser.get_method()
        host = rules.check_head(self.parser.get_http_version(), method, self.headers)
        self._check_allowed(host)
        self.url = rules.origin_form(method, self.url, host)
        path = rules.decoded_path(self.url.partition(b"?")[0])
        self._pace.body_idle_seconds = self.settings.body_idle_seconds
        self._pace.begin(Phase.BODY, self._pace.touched)
        super().on_headers_complete()
        self.scope["path"] = path
        self.scope["alta.connection"] = self  # type: ignore[typeddict-unknown-key]  # for the pipeline
        self.cycle.transport = self._answer_transport

    def on_message_complete(self) -> None:
        """Note that the request is whole; not so where the parser only stopped for an upgrade."""
        if self._has_body and self.parser.should_upgrade():
            return
        self._pace.phase = Phase.SERVED
        super().on_message_complete()

    def _check_allowed(self, host: bytes) -> None:
        allowed = self.settings.allowed_hosts
        if allowed and rules.host_name(host) not in allowed:
            raise Refusal(421, "misdirected_request", "This host is not served here.")

    # What goes out

    def _should_upgrade(self) -> bool:
        return False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # A context of its own for each request: nothing of one may be seen by the next.
        task = self.loop.create_task(cycle.run_asgi(app), context=Context())
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._running, self._task = cycle, task

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        self._task = None
        if self._pending is not None and not self.transport.is_closing():
            self._write_refusal(self._pending)
            return
        if self._pace.phase is Phase.LINGER:
            self.server_state.total_requests += 1
            return
        if self._pace.phase is Phase.SERVED:
            self._pace.phase = Phase.IDLE
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Note since when the client takes nothing."""
        self._pace.stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client takes bytes again."""
        self._pace.stalled_since = None
        super().resume_writing()

    def _refuse(self, refusal: Refusal) -> None:
        running = self._running
        if self._pace.phase is Phase.BODY and self.cycle.response_complete:
            # The answer is out; only the rest of the body was still coming.
            self.transport.close()
            return
        if running is not None and not running.response_complete:
            if running is not self.cycle or self._pace.phase is Phase.HEAD:
                # An earlier request of the connection is still being answered: its answer first.
                self._pending = refusal
                self._pace.phase = Phase.SERVED
                self.flow.pause_reading()
                return
            if running.response_started:
                self.abort()
                return
            running.disconnected = True
            if self._task is not None:
                self._task.cancel()
        self._write_refusal(refusal)

    def _write_refusal(self, refusal: Refusal) -> None:
        self.transport.write(refusal_bytes(refusal, self.url, self.headers, self._address))
        self._linger()

    def check_pace(self, now: float, elapsed: float) -> None:
        """End the connection if the client is too slow."""
        pace = self._pace
        is_held = self.flow.read_paused or (pace.phase is Phase.BODY and self.cycle.waiting_for_100_continue)
        late = pace.lateness(now, elapsed, is_held=is_held)
        if late is Late.SEND_HEAD or late is Late.SEND_BODY:
            self._refuse(too_slow("head" if late is Late.SEND_HEAD else "body"))
        elif late is Late.BEGIN:
            self.transport.close()
        elif late is not None:
            self.abort()


def protocol_for(connections: Connections) -> type[HardenedProtocol]:
    """Return the protocol class that uvicorn makes its connections from."""
    return type("EdgeProtocol", (HardenedProtocol,), {"edge": connections})
