"""The page for whoever is called at night names commands and metrics that there are."""

import re
import shlex
from pathlib import Path

import click
import pytest
from prometheus_client import REGISTRY

from alta_common.telemetry import metrics as common_metrics
from alta_outbox_relay import metrics as relay_metrics
from alta_outbox_relay.application import metrics as queue_metrics
from alta_outbox_relay.cli import main
from alta_outbox_relay.cli_dead_letters import dead_letters
from alta_outbox_relay.settings import AdminSettings

# Imported for what they register.
MEASURING = (common_metrics, relay_metrics, queue_metrics)
ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/operations/messaging.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"(?:`|-- |^)(alta (?:outbox|queues|dlq)[^`#|\n]*?)\s*(?:`|#|$)", PAGE, re.MULTILINE)))


def test_there_are_commands_to_look_at():
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_is_one(command):
    _, group, *words = shlex.split(command)
    found = main.commands[group]
    assert isinstance(found, click.Group)
    if words and words[0] not in {"…", "|"}:
        known = {name for parameter in found.commands[words[0]].params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_every_metric_of_the_page_is_measured():
    measured = {name for family in REGISTRY.collect() for name in _names(family.name)}

    assert set(re.findall(r"alta_[a-z_]+[a-z]", PAGE)) - {"alta_outbox_relay", "alta_identity"} <= measured


def test_every_setting_of_the_page_is_read():
    read = {name.upper() for name in AdminSettings.model_fields} | {"OUTBOX_ADMIN_URL", "OCR_WORKERS"}

    assert set(re.findall(r"`((?:OUTBOX|QUEUE|RABBITMQ|OCR)_[A-Z_]+)`", PAGE)) <= read


def test_every_reason_of_the_page_and_the_help_is_one():
    (option,) = [one for one in dead_letters.commands["purge"].params if "--reason" in one.opts]
    table = PAGE.partition("| reason | ")[2].partition("\n\n")[0]
    named = {
        *re.findall(r"--reason ([a-z_]+)", PAGE),
        *re.findall(r"e\.g\. (\w+)", option.help),
        *re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\s*\|([^|]*)\|", table, re.MULTILINE))),
    }
    # The broker's own, and the codes of errors: classes of engines that stop a file (workers, ports) have none here.
    sources = [path for path in ROOT.glob("*/*/src/**/*.py") if "workers" not in path.parts]
    codes = {code for path in sources for code in re.findall(r"^    code = \"(\w+)\"", path.read_text(), re.MULTILINE)}

    assert len(named) > 5
    assert named <= codes | {"delivery_limit"}


def _names(family):
    return {family, f"{family}_total", f"{family}_bucket"}
