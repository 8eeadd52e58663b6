"""Alembic's entry: the schema `projects`, and the tables that our models map."""

from alta_common.db.migrations import run_env

# Imported for their tables.
from alta_projects.models import (  # noqa: F401  # as above
    document,
    live_event,
    member,
    project,
    result_revision,
    unclaimed_object,
    voice_sample,
)
from alta_projects.models.base import SCHEMA, Base

run_env(SCHEMA, Base.metadata)
