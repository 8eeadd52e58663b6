"""Which queue leads to which use case."""

from datetime import timedelta

from alta_common.contracts.identity import IdentityEmailRequested, UserRegistered
from alta_common.contracts.projects import ProjectCreated, ProjectsEmailRequested
from alta_common.messaging.consumers import Consumer, Handler
from alta_common.messaging.topology import EMAIL_QUEUE
from alta_notifications.application.mailing import MailService

_TIME_LIMIT = timedelta(minutes=1)


def consumers(mailing: MailService, prefetch: int) -> list[Consumer]:
    """Return the table of this service. (`webhook_queue` is heard by nobody yet: webhooks cannot be created.)"""
    return [
        Consumer(
            EMAIL_QUEUE,
            [
                Handler(IdentityEmailRequested, mailing.send_requested, mailing.give_up),
                Handler(ProjectsEmailRequested, mailing.send_requested, mailing.give_up),
                Handler(UserRegistered, mailing.welcome, mailing.give_up),
                Handler(ProjectCreated, mailing.tell_project_created, mailing.give_up),
            ],
            prefetch=prefetch,
            time_limit=_TIME_LIMIT,
        )
    ]
