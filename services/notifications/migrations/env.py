"""Alembic's entry: it is given notifications' schema and tables."""

from alta_common.db.migrations import run_env

# The module registers its table with the metadata.
from alta_notifications.models import delivery  # noqa: F401
from alta_notifications.models.base import SCHEMA, Base

run_env(SCHEMA, Base.metadata)
