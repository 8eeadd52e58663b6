"""env.example says what the services read."""

import re

from alta_stack.env_example import LOCAL_STACK, env_example, groups
from alta_stack.settings import CHECKOUT

_NAME = re.compile(r"^(?:# )?([A-Z][A-Z0-9_]*)=", re.MULTILINE)
_SECRET = re.compile(r"(PASSWORD|SECRET|_KEY|PEPPER|TOKEN)$")


def names_of(text: str) -> list[str]:
    return _NAME.findall(text)


def test_the_file_names_every_setting_once_and_no_other() -> None:
    written = names_of((CHECKOUT / "env.example").read_text(encoding="utf-8"))

    known = [variable.name for group in groups() for variable in group.variables] + list(LOCAL_STACK)

    assert sorted(written) == sorted(known), "make env-example writes it anew"


def test_the_file_is_what_the_settings_say_today() -> None:
    assert (CHECKOUT / "env.example").read_text(encoding="utf-8") == env_example(), "make env-example writes it anew"


def test_every_setting_is_described() -> None:
    undescribed = [v.name for group in groups() for v in group.variables if not v.description]

    assert undescribed == []


def test_the_names_that_operators_know_are_there() -> None:
    names = set(names_of(env_example()))

    assert names >= {
        *("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"),
        *("REDIS_URL", "RABBITMQ_URL", "GCS_PROJECT_ID", "GCS_BUCKET_NAME", "GOOGLE_APPLICATION_CREDENTIALS"),
        *("OUTBOX_BATCH_SIZE", "OUTBOX_PROCESSING_INTERVAL", "OUTBOX_MAX_RETRIES", "OUTBOX_RETRY_DELAY"),
        *("SMTP_HOST", "SMTP_PORT", "SMTP_USERNAME", "SMTP_PASSWORD", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    }


def test_no_secret_has_a_value() -> None:
    secrets = [v for group in groups() for v in group.variables if _SECRET.search(v.name)]

    assert secrets
    assert [v.name for v in secrets if v.default] == []
