"""`python -m alta_notifications.migrate`: bring schema `notifications` up to date."""

from alta_common.db.migrations import upgrade
from alta_common.settings import load
from alta_common.telemetry.logs import setup_logs
from alta_notifications.models.base import SCHEMA
from alta_notifications.settings import MigrationSettings


def main() -> None:
    """Apply all migrations, under an advisory lock."""
    setup_logs("notifications-migrate")
    settings = load(MigrationSettings)
    upgrade(settings, SCHEMA, settings.migrations_dir)


if __name__ == "__main__":
    main()
