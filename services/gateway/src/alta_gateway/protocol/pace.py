"""How fast a client must be, at each moment of a connection."""

from enum import Enum, IntEnum, auto

from alta_gateway.settings import ProtocolSettings

_LINGER_IDLE_SECONDS = 5.0


class Phase(IntEnum):
    """What the connection expects of the client."""

    NEW = 0  # its first byte
    IDLE = 1  # maybe another request
    HEAD = 2  # the rest of a head
    BODY = 3  # the rest of a body
    SERVED = 4  # nothing: a whole request is being answered
    LINGER = 5  # that it reads the last answer and goes away


class Late(Enum):
    """What the client did not do in time."""

    BEGIN = auto()
    SEND_HEAD = auto()
    SEND_BODY = auto()
    TAKE_ANSWER = auto()
    LEAVE = auto()


# Between requests the server's own keep-alive timer decides; while a request is answered, nothing is due.
_LATE_IN = {
    Phase.NEW: Late.BEGIN,
    Phase.HEAD: Late.SEND_HEAD,
    Phase.BODY: Late.SEND_BODY,
    Phase.LINGER: Late.LEAVE,
}


class Pace:
    """The clock of one connection; times are the event loop's."""

    def __init__(self, settings: ProtocolSettings, now: float) -> None:
        self.settings = settings
        self.phase = Phase.NEW
        # When the phase began, when the last byte came, and how many did in this phase.
        self.since = self.touched = now
        self.received = 0
        self.body_idle_seconds = settings.body_idle_seconds
        # Since when the client takes nothing of an answer.
        self.stalled_since: float | None = None

    def begin(self, phase: Phase, now: float, received: int = 0) -> None:
        """Enter a phase."""
        self.phase = phase
        self.since = now
        self.received = received

    def lateness(self, now: float, elapsed: float, *, is_held: bool) -> Late | None:
        """Say what is overdue, `elapsed` seconds after the last look; what we do not read (`is_held`) is not late."""
        settings = self.settings
        if self.stalled_since is not None and now - self.stalled_since > settings.answer_stalled_seconds:
            return Late.TAKE_ANSWER
        if is_held and self.phase in (Phase.HEAD, Phase.BODY):
            self.since += elapsed
            self.touched = now
            return None
        late = _LATE_IN.get(self.phase)
        return late if late is not None and self._is_over(now) else None

    def _is_over(self, now: float) -> bool:
        taken = now - self.since
        if self.phase is Phase.NEW:
            return taken > self.settings.first_byte_seconds
        if self.phase is Phase.HEAD:
            return taken > self.settings.header_seconds
        if self.phase is Phase.BODY:
            return self._body_is_late(now, taken)
        return taken > self.settings.linger_seconds or now - self.touched > _LINGER_IDLE_SECONDS

    def _body_is_late(self, now: float, taken: float) -> bool:
        if now - self.touched > self.body_idle_seconds:
            return True
        return taken > self.settings.body_grace_seconds and self.received < self.settings.body_bytes_per_second * taken
