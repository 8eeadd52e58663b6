"""The notifications process: takes events from `email_queue` and sends mails."""

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

from alta_common.db.engine import check_database, create_engine, create_sessions
from alta_common.http.health import InternalServer
from alta_common.messaging.consumers import ConsumerApp
from alta_common.process import run, until_stopped
from alta_common.sealing import Sealer
from alta_common.settings import load
from alta_common.telemetry.setup import setup_telemetry
from alta_notifications.application.mailing import MailService
from alta_notifications.application.retention import Retention
from alta_notifications.consumers import consumers
from alta_notifications.mail.smtp import SmtpMailer
from alta_notifications.mail.templates import MailTemplates
from alta_notifications.settings import NotificationsSettings

SERVICE = "notifications"


async def main(settings: NotificationsSettings) -> None:
    """Run until SIGTERM or SIGINT."""
    telemetry = setup_telemetry(settings, SERVICE)
    engine = create_engine(settings, application_name=SERVICE)
    sessions = create_sessions(engine)
    templates = MailTemplates(settings.public_url)
    mailing = MailService(sessions, SmtpMailer(settings), templates, Sealer(settings.sealing_keys), settings.sender)
    app = ConsumerApp(
        settings.rabbitmq_url, SERVICE, consumers(mailing, settings.email_prefetch), settings.drain_seconds
    )
    # The mail server is not asked: while it is away, mails wait in the queue, and this process is as good as any.
    checks = {"broker": app.check, "database": lambda: check_database(engine)}
    internal = InternalServer(settings.internal_host, settings.internal_port, checks)
    await internal.start()
    forgetting = asyncio.create_task(
        Retention(sessions, timedelta(days=settings.delivery_retention_days)).run(), name="retention"
    )
    async with AsyncExitStack() as stack:
        # The last first, and each of them whatever becomes of the others.
        stack.push_async_callback(asyncio.to_thread, telemetry.shutdown)
        stack.push_async_callback(internal.stop)
        stack.push_async_callback(engine.dispose)
        stack.push_async_callback(mailing.settle)
        stack.push_async_callback(_end, forgetting)
        stack.push_async_callback(app.stop)
        stack.callback(internal.mark_draining)
        await app.start()
        await until_stopped()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    run(main(load(NotificationsSettings)))
