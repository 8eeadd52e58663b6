"""`python -m alta_identity.migrate`: bring schema `identity` up to date."""

from alta_common.db.migrations import upgrade
from alta_common.settings import load
from alta_identity.models.base import SCHEMA
from alta_identity.settings import MigrationSettings


def main() -> None:
    """Migrate; other processes that do the same wait for this one."""
    settings = load(MigrationSettings)
    upgrade(settings, SCHEMA, settings.migrations_dir)


if __name__ == "__main__":
    main()
