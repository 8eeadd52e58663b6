"""`env-example`: env.example, made from the settings classes of all services, so that it is never behind them."""

import dataclasses
import importlib
import inspect
import textwrap
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import alta_common.settings
from alta_common.settings import Settings
from alta_stack.services import SERVICES
from alta_stack.settings import CHECKOUT

_HEAD = """\
Settings of Alta Data, for every service: names, meanings and defaults. Made by `make env-example` from the settings
classes in services/*/src/*/settings.py and libs/common; a test compares the two.

`make up` needs none of them: it makes keys and passwords (.alta/secrets.env) and tells every service where the others
are. What is set in its environment wins. A deployment sets at least those without a default, which stand here
without a #. In brackets: the services that read a setting."""

# What the tools read themselves (tools/alta_stack/settings.py, addresses.py and tools/bootstrap.sh).
LOCAL_STACK = {
    "GATEWAY_PORT": ("8000", "Port that `make up` gives the gateway; 0: any free one."),
    "ALTA_HOME": (".alta", "Folder of the local stack: data, logs, stack.json. Another folder is another stack."),
    "PYTHON": ("", "Python that .venv is made with; empty: the first of 3.11 or newer."),
    "ALTA_TEST_POSTGRES_DSN": ("", "Tests use this server (a superuser's DSN) instead of starting one."),
    "ALTA_TEST_REDIS_URL": ("", "Tests use this Redis instead of starting one."),
    "ALTA_TEST_RABBITMQ_URL": ("", "Tests use this broker instead of starting one."),
    "ALTA_TEST_RABBITMQ_MANAGEMENT": ("", "Management API of that broker."),
}


@dataclasses.dataclass
class Variable:
    """One environment variable."""

    name: str
    default: str | None
    """As it would be written; `None` when it must be set."""
    description: str
    services: list[str]
    """Who reads it."""


@dataclasses.dataclass
class Group:
    """The variables of one settings class."""

    title: str
    variables: list[Variable]
    position: int


def env_example() -> str:
    """Return the text of env.example."""
    parts = [_comment(_HEAD)]
    for group in groups():
        parts.append(_heading(group.title))
        parts += [_entry(variable) for variable in group.variables]
    parts.append(_heading("The local stack: what make, tools/ and the tests read."))
    parts += [_entry(Variable(name, default, text, [])) for name, (default, text) in LOCAL_STACK.items()]
    return "\n\n".join(parts) + "\n"


def groups() -> list[Group]:
    """Return all variables, each once: those that services share first, then each service's own."""
    found: dict[type[Settings], Group] = {}
    known: dict[str, Variable] = {}
    for service, settings in _settings_classes():
        # From the most general class down, so that a variable stands where it is defined.
        parts = [part for part in reversed(settings.__mro__) if issubclass(part, Settings) and part is not Settings]
        for part in parts:
            group = found.setdefault(part, _new_group(service, part))
            for name in part.__annotations__:
                if name not in part.model_fields:
                    continue
                if name not in known:
                    known[name] = _variable(name, part.model_fields[name])
                    group.variables.append(known[name])
                if service not in known[name].services:
                    known[name].services.append(service)
    filled = [group for group in found.values() if group.variables]
    return sorted(filled, key=lambda group: group.position)


def _new_group(service: str, part: type[Settings]) -> Group:
    title = inspect.cleandoc(part.__doc__ or part.__name__)
    shared = [member for member in vars(alta_common.settings).values() if inspect.isclass(member)]
    if part in shared:
        return Group(title, [], shared.index(part))
    return Group(f"{service}: {title}", [], len(shared))


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
    return Variable(name.upper(), default, field.description or "", [])


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


def _heading(title: str) -> str:
    return f"# {'-' * 118}\n{_comment(title)}"


def _entry(variable: Variable) -> str:
    notes = [variable.description]
    if variable.default is None:
        notes.append("Must be set.")
    if variable.services:
        everybody = len(variable.services) == len({service.module.partition(".")[0] for service in SERVICES})
        notes.append("[all]" if everybody else f"[{', '.join(variable.services)}]")
    assignment = f"{variable.name}=" if variable.default is None else f"# {variable.name}={variable.default}"
    return f"{_comment(' '.join(notes))}\n{assignment}"


def _comment(text: str) -> str:
    paragraphs = inspect.cleandoc(text).split("\n\n")
    lines = [line for paragraph in paragraphs for line in ["", *textwrap.wrap(paragraph, 116, break_on_hyphens=False)]][
        1:
    ]
    return "\n".join(f"# {line}".rstrip() for line in lines)
