import json
import logging
import subprocess
import sys
from typing import Any

import pytest
import structlog

from alta_common.telemetry.context import bind_request, current_trace_id, span
from alta_common.telemetry.logs import setup_logs


@pytest.fixture(autouse=True)
def _logs() -> None:
    setup_logs("books", "INFO")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_says_who_spoke_and_for_which_request(capsys: pytest.CaptureFixture[str]) -> None:
    with bind_request("abc"), span("reading"):
        trace_id = current_trace_id()
        structlog.get_logger().info("book.opened", pages=3)

    (line,) = lines(capsys)
    assert (
        line.items()
        >= {
            "event": "book.opened",
            "pages": 3,
            "service": "books",
            "level": "info",
            "request_id": "abc",
        }.items()
    )
    assert line.get("trace_id") == trace_id
    assert line["timestamp"].endswith("Z")


def test_libraries_speak_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    with bind_request("abc"):
        logging.getLogger("some.library").warning("it is %s", "late", extra={"minutes": 5})

    (line,) = lines(capsys)
    assert line.items() >= {"event": "it is late", "logger": "some.library", "minutes": 5, "request_id": "abc"}.items()


def test_an_exception_brings_its_stack(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        int("torn page")
    except ValueError:
        structlog.get_logger().exception("book.unreadable")

    (line,) = lines(capsys)
    assert "ValueError: invalid literal" in line["exception"]


def test_secrets_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().info("account.made", password="hunter2", token="t0p")

    assert "hunter2" not in (out := capsys.readouterr().out)
    assert "t0p" not in out


def test_what_is_below_the_level_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().debug("book.touched")
    logging.getLogger("some.library").debug("hm")
    logging.getLogger("aio_pika").info("connected")

    assert lines(capsys) == []


def test_values_that_json_does_not_know_are_written_as_they_show(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().info("book.opened", error=ValueError("x"), pages={1, 2})

    (line,) = lines(capsys)
    assert line["error"] == "ValueError('x')"


def test_what_ends_a_process_is_a_line_as_well() -> None:
    program = "from alta_common.telemetry.logs import setup_logs; setup_logs('books'); int('torn page')"

    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)

    line = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert (line["event"], line["service"], line["level"]) == ("process.crashed", "books", "critical")
    assert "ValueError: invalid literal" in line["exception"]
