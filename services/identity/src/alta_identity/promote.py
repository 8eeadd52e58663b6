"""Making an account an administrator of the platform: `python -m alta_identity.promote ada@example.com`."""

import argparse
import getpass
import sys

from alta_common import process
from alta_common.audit import AuditTrail
from alta_common.clock import utc_now
from alta_common.db.engine import create_engine, create_sessions
from alta_common.errors import AltaError
from alta_common.ids import new_id
from alta_common.settings import load
from alta_common.telemetry.context import bind_request
from alta_common.telemetry.logs import setup_logs
from alta_identity.application.administrators import AdministratorService
from alta_identity.models.base import SCHEMA
from alta_identity.settings import MigrationSettings


def main() -> None:
    """Promote, with the database settings of a migration."""
    parser = argparse.ArgumentParser(prog="python -m alta_identity.promote", description=main.__doc__)
    parser.add_argument("email", help="address of an account that can sign in")
    parser.add_argument("--operator", default=_user(), help="who does it, for the audit trail (default: %(default)s)")
    arguments = parser.parse_args()
    setup_logs("identity-promote", "ERROR")
    process.run(_promote(load(MigrationSettings), arguments.email, arguments.operator))


async def _promote(settings: MigrationSettings, email: str, operator: str) -> None:
    engine = create_engine(settings, application_name="identity-promote")
    try:
        with bind_request(str(new_id())):
            administrators = AdministratorService(create_sessions(engine), AuditTrail(SCHEMA), utc_now)
            is_new = await administrators.promote(email, operator)
    except AltaError as error:
        sys.stderr.write(f"error: {error.detail}\n")
        raise SystemExit(1) from None
    finally:
        await engine.dispose()
    sys.stdout.write(f"{email} is an administrator {'from its next sign-in on' if is_new else 'already'}.\n")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user has no name.
        return "unknown"


if __name__ == "__main__":
    main()
