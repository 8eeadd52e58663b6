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
from alta_outbox_relay.settings import AdminSettings

# Imported for what they register.
MEASURING = (common_metrics, relay_metrics, queue_metrics)
PAGE = (Path(__file__).parents[4] / "docs/operations/messaging.md").read_text(encoding="utf-8")
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


def _names(family):
    return {family, f"{family}_total", f"{family}_bucket"}
