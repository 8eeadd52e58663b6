"""The keys and passwords of one local stack, made when it starts for the first time."""

import secrets
from pathlib import Path

from cryptography.fernet import Fernet

from alta_stack.cluster import ROLES
from alta_stack.settings import environment


def password_variable(role: str) -> str:
    """Return the variable that holds a database role's password."""
    return f"{role.upper()}_DB_PASSWORD"


def load_credentials(path: Path) -> dict[str, str]:
    """Return the stack's secrets by variable name, making what is missing. What the environment sets wins."""
    stored = _read(path)
    makers = {
        "MAIL_SEALING_KEY": _new_key,
        "IDENTITY_KEY_ENCRYPTION_KEY": _new_key,
        "IDENTITY_PASSWORD_PEPPER": lambda: secrets.token_urlsafe(36),
        **{password_variable(role): _new_password for role in ROLES},
    }
    missing = {name: make() for name, make in makers.items() if name not in stored}
    if missing:
        stored |= missing
        _write(path, stored)
    given = environment()
    return {name: given.get(name) or stored[name] for name in makers}


def _new_key() -> str:
    return Fernet.generate_key().decode()


def _new_password() -> str:
    return secrets.token_urlsafe(24)


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def _write(path: Path, values: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["# Made by the local stack for this machine alone. `make reset` deletes it with all data."]
    lines += [f"{name}={value}" for name, value in values.items()]
    temporary = path.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(path)
