"""`env-example`: env.example, made from the settings classes of all services, so that it is never behind them."""

import dataclasses
import importlib
import inspect
import textwrap
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from alta_common.settings import Settings
from alta_stack.services import SERVICES
from alta_stack.settings import CHECKOUT

_HEAD = """\
Settings of Alta Data, for every service: names, meanings and defaults. Made by `make env-example` from the settings
classes in services/*/src/*/settings.py and libs/common; a test compares the two.

`make up` needs none of them: it makes keys and passwords (.alta/secrets.env) and tells every service where the others
are. What is set in its environment wins. A deployment sets at least those without a default (NAME= without #)."""

# What the tools read themselves (tools/alta_stack/settings.py, addresses.py and tools/bootstrap.sh).
LOCAL_STACK = {
    "GATEWAY_PORT": ("8000", "Port that `make up` gives the gateway; 0: any free one."),
    "ALTA_HOME": (".alta", "Folder of the local stack: data, logs, stack.json. Another folder is another stack."),
    "RABBITMQ_MANAGEMENT_URL": ("", "Management page of the broker that RABBITMQ_URL names, for stack.json."),
    "PYTHON": ("", "Python that .venv is made with; empty: the first of 3.11 or newer."),
    "ALTA_TEST_POSTGRES_DSN": ("", "Tests use this server (a superuser's DSN) instead of starting one."),
    "ALTA_TEST_REDIS_URL": ("", "Tests use this Redis instead of starting one."),
    "ALTA_TEST_RABBITMQ_URL": ("", "Tests use this broker instead of starting one."),
    "ALTA_TEST_RABBITMQ_MANAGEMENT": ("", "Management API of that broker."),
}


@dataclasses.dataclass(frozen=True)
class Variable:
    """One environment variable."""

    name: str
    default: str | None
    """As it would be written; `None` when it must be set."""
    description: str


@dataclasses.dataclass
class Group:
    """The variables of one settings class, and who reads them."""

    title: str
    variables: list[Variable]
    services: list[str]


def env_example() -> str:
    """Return the text of env.example."""
    parts = [_comment(_HEAD)]
    for group in groups():
        readers = f"Read by: {', '.join(group.services)}."
        parts.append("\n".join([f"# {'-' * 118}", _comment(group.title), _comment(readers)]))
        parts += [_entry(variable) for variable in group.variables]
    parts.append(f"# {'-' * 118}\n# The local stack: what make, tools/ and the tests read.")
    parts += [_entry(Variable(name, default, text)) for name, (default, text) in LOCAL_STACK.items()]
    return "\n\n".join(parts) + "\n"


def groups() -> list[Group]:
    """Return all variables, each once: in the class that the first service inherits it from."""
    found: dict[type[Settings], Group] = {}
    known: set[str] = set()
    for service, settings in _settings_classes():
        for part in reversed(settings.__mro__):
            if not (isinstance(part, type) and issubclass(part, Settings)) or part is Settings:
                continue
            own = [name for name in part.__annotations__ if name in part.model_fields]
            new = [_variable(name, part.model_fields[name]) for name in own if name.upper() not in known]
            if part not in found and new:
                title = inspect.cleandoc(part.__doc__ or part.__name__)
                own_words = title if part.__module__.startswith("alta_common.") else f"{service}: {title}"
                found[part] = Group(own_words, new, [])
                known |= {variable.name for variable in new}
            if part in found and service not in found[part].services:
                found[part].services.append(service)
    return list(found.values())


def _settings_classes() -> list[tuple[str, type[Settings]]]:
    """Return every settings class of every service's settings module, with the service's name."""
    packages = {service.module.partition(".")[0]: service.name for service in reversed(SERVICES)}
    classes = []
    for package, name in reversed(packages.items()):
        module = importlib.import_module(f"{package}.settings")
        for _, member in sorted(inspect.getmembers(module, inspect.isclass)):
            if issubclass(member, Settings) and member.__module__ == module.__name__:
                classes.append((name, member))
    return classes


def _variable(name: str, field: FieldInfo) -> Variable:
    default: str | None = None
    if field.default_factory is not None:
        default = ""
    elif field.default is not PydanticUndefined:
        default = _written(field.default)
    return Variable(name.upper(), default, field.description or "")


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Path) and value.is_relative_to(CHECKOUT):
        return str(value.relative_to(CHECKOUT))
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(_written(member) for member in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return "/".join(_written(member) for member in dataclasses.astuple(value))
    return str(getattr(value, "value", value))


def _entry(variable: Variable) -> str:
    assignment = f"{variable.name}=" if variable.default is None else f"# {variable.name}={variable.default}"
    note = variable.description + ("" if variable.default is not None else " Must be set.")
    return f"{_comment(note)}\n{assignment}"


def _comment(text: str) -> str:
    paragraphs = inspect.cleandoc(text).split("\n\n")
    lines = [line for paragraph in paragraphs for line in ["", *textwrap.wrap(paragraph, 116)]][1:]
    return "\n".join(f"# {line}".rstrip() for line in lines)
