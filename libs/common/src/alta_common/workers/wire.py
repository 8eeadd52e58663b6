"""What a pool and its worker processes say to each other: pickled tuples, each after its length in 8 bytes."""

import pickle
import struct
from dataclasses import dataclass, field
from typing import Any, Literal

HEADER = struct.Struct("!Q")

MessageKind = Literal["progress", "result", "error"]


@dataclass(frozen=True)
class Task:
    """A call for a worker process: `function` is `module:name`, called as `function(report, **kwargs)`.

    `report` is an `alta_common.workers.child.Reporter`; arguments and result must be picklable.
    """

    function: str
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """What a worker says: a progress report, a job's result or its exception; `units` counts towards recycling."""

    kind: MessageKind
    value: Any
    units: int = 0


def pack(value: object) -> bytes:
    """Return `value` ready to be sent."""
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(body)) + body


def unpack(body: bytes) -> Any:
    """Return the value of a body. Both ends are our own code on the same machine, over an unnamed socket."""
    return pickle.loads(body)  # noqa: S301  # the other end is our own child process
