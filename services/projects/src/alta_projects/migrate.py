"""Bringing the schema up to date: `python -m alta_projects.migrate`."""

from alta_common.db.migrations import upgrade
from alta_common.settings import load
from alta_common.telemetry.logs import setup_logs
from alta_projects.settings import SCHEMA, ProjectsMigrateSettings


def main() -> None:
    """Apply all migrations, under an advisory lock."""
    setup_logs("projects-migrate")
    settings = load(ProjectsMigrateSettings)
    upgrade(settings, SCHEMA, settings.migrations_dir)


if __name__ == "__main__":
    main()
