"""Alembic's entry: it is given identity's schema and tables."""

from alta_common.db.migrations import run_env

# Each module registers its tables with the metadata.
from alta_identity.models import account, login_session, one_time_token, signing_key  # noqa: F401
from alta_identity.models.base import SCHEMA, Base

run_env(SCHEMA, Base.metadata)
