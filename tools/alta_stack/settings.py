"""What the local stack takes from the environment."""

import os  # the one place of the tools that reads it
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
