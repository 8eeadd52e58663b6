import json
from typing import Any

import pytest

from alta_notifications.mail.templates import (
    MailTemplates,
    MalformedValueError,
    MissingValueError,
    UnknownTemplateError,
)

URL = "https://alta.example"
TOKEN = "wJk9-_" * 7

# What the publishing services send with each.
VALUES = {
    "verify_email": {"full_name": "Ada", "token": TOKEN},
    "already_registered": {"full_name": "Ada"},
    "welcome": {"full_name": "Ada"},
    "password_reset": {"full_name": "Ada", "token": TOKEN},
    "refresh_reuse_warning": {"full_name": "Ada"},
    "project_invitation": {
        "project_name": "Letters",
        "role": "viewer",
        "inviter_name": "Ada",
        "link": "https://elsewhere.example",
    },
    "project_created": {"project_name": "Letters"},
    "items_failed": {
        "project_name": "Letters",
        "count": "2",
        "items": json.dumps(
            [
                {"filename": "letter 7.pdf", "detail": "The PDF asks for a password.", "retryable": False},
                {"filename": "x" * 100 + ".tiff", "detail": "It took too long. " * 15, "retryable": True},
            ]
        ),
    },
}


@pytest.fixture
def templates() -> MailTemplates:
    return MailTemplates(URL + "/")


def test_every_mail_is_tried_here(templates: MailTemplates) -> None:
    assert templates.names == VALUES.keys()


@pytest.mark.parametrize("name", VALUES)
def test_a_mail_has_subject_text_and_html(templates: MailTemplates, name: str) -> None:
    words = templates.render(name, VALUES[name])

    assert words.subject
    assert words.text.endswith("\n")
    assert max(len(line) for line in words.text.splitlines()) <= 120
    assert words.html.startswith("<!doctype html>")
    assert words.html.rstrip().endswith("</html>")
    assert "{{" not in words.text + words.html
    assert "elsewhere.example" not in words.text + words.html


@pytest.mark.parametrize(("name", "path"), [("verify_email", "verify-email"), ("password_reset", "reset-password")])
def test_a_token_comes_as_a_link_and_on_a_line_of_its_own(templates: MailTemplates, name: str, path: str) -> None:
    words = templates.render(name, VALUES[name])

    assert f"{URL}/{path}#token={TOKEN}" in words.text.splitlines()
    assert TOKEN in words.text.splitlines()
    assert f'href="{URL}/{path}#token={TOKEN}"' in words.html


def test_the_verification_mail_says_how_long_it_holds(templates: MailTemplates) -> None:
    assert "24 hours" in templates.render("verify_email", VALUES["verify_email"]).text


def test_a_name_cannot_become_html(templates: MailTemplates) -> None:
    words = templates.render("welcome", {"full_name": "<script>alert(1)</script>"})

    assert "<script>" not in words.html
    assert "&lt;script&gt;" in words.html


@pytest.mark.parametrize(
    "name",
    ["Win at https://evil.example", "www.evil.example", "evil.example", "a@evil.example", "x" * 81, ""],
)
def test_a_name_cannot_advertise(templates: MailTemplates, name: str) -> None:
    invitation = {**VALUES["project_invitation"], "inviter_name": name, "project_name": name}

    welcome = templates.render("welcome", {"full_name": name})
    invited = templates.render("project_invitation", invitation)

    assert "Hello there," in welcome.text
    assert invited.subject == "Somebody invites you to a project"
    if name:
        assert name not in invited.text + invited.html


def test_ordinary_names_are_shown(templates: MailTemplates) -> None:
    for name in ("Ada Lovelace", "José Ñandú", "Dr. Who", "山田 太郎", "O'Neill"):
        assert name in templates.render("welcome", {"full_name": name}).text


def test_no_value_can_begin_a_new_line(templates: MailTemplates) -> None:
    values = {**VALUES["project_invitation"], "project_name": "A\r\nBcc: victim@host\r\n\r\nB"}

    words = templates.render("project_invitation", values)

    assert "\n" not in words.subject
    assert "\nBcc" not in words.text


def test_what_is_missing_is_named(templates: MailTemplates) -> None:
    with pytest.raises(MissingValueError, match="token"):
        templates.render("verify_email", {"full_name": "Ada"})


@pytest.mark.parametrize("name", ["", "nothing", "../settings", "_layout"])
def test_an_unknown_mail_is_refused(templates: MailTemplates, name: str) -> None:
    with pytest.raises(UnknownTemplateError):
        templates.render(name, {})


def failures(*items: dict[str, Any], count: int | None = None) -> dict[str, str]:
    return {"project_name": "Letters", "count": str(count or len(items)), "items": json.dumps(items)}


def test_failed_files_are_listed_with_what_may_help(templates: MailTemplates) -> None:
    words = templates.render("items_failed", VALUES["items_failed"])

    assert words.subject == "2 files in Letters could not be read"
    sentence = "The PDF asks for a password. Trying the same file again will not help."
    assert f"- letter 7.pdf\n  {sentence}\n" in words.text
    assert "Trying again may help." in words.text
    assert f"<strong>letter 7.pdf</strong><br>{sentence}" in words.html
    assert "more" not in words.text


def test_one_failed_file_is_one(templates: MailTemplates) -> None:
    words = templates.render("items_failed", failures({"filename": "a.pdf", "detail": "Damaged.", "retryable": False}))

    assert words.subject == "A file in Letters could not be read"
    assert "a file that you added to Letters could not be read:\n\n- a.pdf\n" in words.text


def test_of_many_failed_files_the_others_are_counted(templates: MailTemplates) -> None:
    item = {"filename": "a.pdf", "detail": "Damaged.", "retryable": False}

    words = templates.render("items_failed", failures(*[item] * 20, count=1020))

    assert words.text.count("- a.pdf") == 20
    assert "- and 1000 more\n" in words.text
    assert "<li>and 1000 more</li>" in words.html


def test_a_filename_stays_on_its_line_and_cannot_become_html(templates: MailTemplates) -> None:
    hostile = {"filename": "<b>a\r\n\r\nb</b>.pdf", "detail": "It is \u2028 'damaged'.\x00", "retryable": True}

    words = templates.render("items_failed", failures(hostile))

    assert "- <b>a b</b>.pdf\n" in words.text
    assert "&lt;b&gt;a b&lt;/b&gt;.pdf" in words.html
    assert "<b>" not in words.html


@pytest.mark.parametrize("items", ["", "{", "1", "[1]", '["x"]', "null"])
def test_a_list_that_is_none_is_refused(templates: MailTemplates, items: str) -> None:
    with pytest.raises(MalformedValueError):
        templates.render("items_failed", {**VALUES["items_failed"], "items": items})
