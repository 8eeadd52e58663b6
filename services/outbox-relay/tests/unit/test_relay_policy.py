import pytest
from pydantic import ValidationError

from alta_outbox_relay.policy import RelayPolicy
from alta_outbox_relay.settings import RelaySettings
from alta_outbox_relay.shards import fair_share


@pytest.mark.parametrize("members", [1, 2, 3, 5, 16, 20])
def test_the_shares_of_all_make_up_all_shards(members: int) -> None:
    shares = [fair_share(members, rank) for rank in range(members)]

    assert sum(shares) == 16
    assert max(shares) - min(shares) <= 1


def test_retries_wait_longer_and_longer_up_to_five_minutes() -> None:
    policy = RelayPolicy(batch_size=500, window=300, poll_seconds=1, max_retries=10, retry_seconds=1)

    for attempts, longest in ((1, 2), (3, 8), (20, 300)):
        waits = [policy.retry_in(attempts) for _ in range(200)]
        assert all(0 <= wait <= longest for wait in waits)
        assert max(waits) > longest / 2


def test_settings_name_what_is_wrong() -> None:
    known = {"postgres_user": "alta_relay", "postgres_password": "x", "rabbitmq_url": "amqp://localhost/"}

    assert RelaySettings(**known, outbox_schemas="identity, projects").schemas == ["identity", "projects"]
    for wrong in ("identity,identity", "a b", "", "projects;drop"):
        with pytest.raises(ValidationError, match="outbox_schemas"):
            RelaySettings(**known, outbox_schemas=wrong)
