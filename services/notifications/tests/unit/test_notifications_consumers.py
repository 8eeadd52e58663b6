from alta_common.testing.consumers import assert_hears_what_is_documented
from alta_notifications.application.mailing import MailService
from alta_notifications.consumers import consumers


def test_what_is_heard_is_what_is_documented() -> None:
    # The table only names its methods: nothing of it is called.
    mailing = MailService.__new__(MailService)

    assert_hears_what_is_documented("notifications", consumers(mailing, 1))
