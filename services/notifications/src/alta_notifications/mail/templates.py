"""The mails' words: Jinja2 templates beside this package, one subject, text and HTML each."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateNotFound, UndefinedError, select_autoescape

from alta_common.errors import InvalidError

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
_LINK = re.compile(r"://|\bwww\.|[^\s.]\.[a-z]{2,}\b|@", re.IGNORECASE)
_MAX_NAME = 80


class UnknownTemplateError(InvalidError):
    """There is no mail of that name."""

    code = "unknown_template"


class MissingValueError(InvalidError):
    """The event does not say everything that its mail shows."""

    code = "missing_template_value"


class MalformedValueError(InvalidError):
    """The event says something that its mail cannot show."""

    code = "malformed_template_value"


@dataclass(frozen=True, slots=True)
class Words:
    """A mail's subject and its two bodies."""

    subject: str
    text: str
    html: str


class MailTemplates:
    """Renders the mails. Values are plain strings: HTML in them is escaped, control characters become spaces."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url.rstrip("/")

    @cached_property
    def names(self) -> frozenset[str]:
        """Return which mails there are."""
        return frozenset(
            name.removesuffix(".subject.txt")
            for name in self._environment.list_templates()
            if name.endswith(".subject.txt")
        )

    def render(self, name: str, values: dict[str, str]) -> Words:
        """Return a mail's words. Raises `UnknownTemplateError`, `MissingValueError` and `MalformedValueError`."""
        if name not in self.names:
            raise UnknownTemplateError(f"there is no mail named {name!r}")
        shown = {key: _one_line(value) for key, value in values.items()}
        try:
            subject, text, html = (
                self._environment.get_template(f"{name}.{part}").render(shown, public_url=self._public_url)
                for part in ("subject.txt", "txt", "html")
            )
        except UndefinedError as error:
            raise MissingValueError(f"the mail {name}: {error.message}") from error
        except TemplateNotFound as error:
            raise UnknownTemplateError(f"the mail {name} has no {error.name}") from error
        return Words(_one_line(subject), text.strip() + "\n", html)

    @cached_property
    def _environment(self) -> Environment:
        environment = Environment(
            loader=PackageLoader("alta_notifications", "templates"),
            autoescape=select_autoescape(enabled_extensions=("html",), default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["name"] = _name
        environment.filters["fragment"] = _fragment
        environment.filters["rows"] = _rows
        return environment


def _one_line(value: str) -> str:
    return _CONTROL.sub(" ", value).strip()


def _name(value: str, otherwise: str) -> str:
    """Return what somebody calls themselves or a project, or `otherwise` when it would be a link in a mail program.

    Who invites or registers chooses both the name and the address that we write to: without this our mails would
    carry anybody's advertisement.
    """
    return otherwise if not value or len(value) > _MAX_NAME or _LINK.search(value) else value


def _rows(value: str) -> list[dict[str, str | bool]]:
    """Return a list of objects that came as JSON, because values are strings; their strings are of one line too."""
    try:
        rows = json.loads(value)
        return [
            {key: _one_line(cell) if isinstance(cell, str) else bool(cell) for key, cell in row.items()} for row in rows
        ]
    except (ValueError, TypeError, AttributeError) as error:
        raise MalformedValueError("a list in the event is not the JSON that its mail shows") from error


def _fragment(value: str) -> str:
    return quote(str(value), safe="")  # str() is where a missing value says that it is missing
