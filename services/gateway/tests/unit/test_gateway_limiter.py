from alta_gateway.limits.local import LocalLimiter
from alta_gateway.limits.policies import Charge, Policy
from alta_gateway.settings import GatewaySettings, Rate
from alta_gateway.upstream.admission import RetryBudget
from alta_gateway.upstream.breaker import CircuitBreaker


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def charge(units=60, seconds=60, burst=3, cost=1, name="user"):
    return Charge(Policy(name, Rate(units, seconds, burst)), "ada", cost)


def test_a_burst_passes_and_then_the_rate():
    clock = Clock()
    limiter = LocalLimiter(1, clock)

    passed = [limiter.take([charge()]).refused_by is None for _ in range(4)]
    clock.now += 1
    again = [limiter.take([charge()]).refused_by is None for _ in range(2)]

    assert passed == [True, True, True, False]
    assert again == [True, False]


def test_remaining_and_reset_are_what_the_next_request_meets():
    limiter = LocalLimiter(1, Clock())

    first = limiter.take([charge(cost=2)]).standings[0]
    refused = limiter.take([charge(cost=2)]).standings[0]

    assert (first.remaining, first.reset_micros, first.retry_micros) == (1, 2_000_000, 0)
    assert (refused.remaining, refused.reset_micros, refused.retry_micros) == (1, 2_000_000, 1_000_000)


def test_one_limit_that_refuses_spares_the_others():
    limiter = LocalLimiter(1, Clock())
    wide, narrow = charge(burst=10), charge(burst=1, name="narrow")

    verdicts = [limiter.take([wide, narrow]) for _ in range(3)]
    alone = limiter.take([wide])

    assert [verdict.refused_by.policy.name if verdict.refused_by else None for verdict in verdicts] == [
        None, "narrow", "narrow"
    ]  # fmt: skip
    assert alone.standings[0].remaining == 8


def test_without_redis_each_gateway_gives_out_its_part():
    limiter = LocalLimiter(3, Clock())

    passed = [limiter.take([charge(burst=9)]).refused_by is None for _ in range(4)]

    assert passed == [True, True, True, False]


def breaker(clock, **settings):
    chosen = GatewaySettings(
        redis_url="redis://unused", **{"breaker_requests": 4, "breaker_open_seconds": 5, **settings}
    )
    return CircuitBreaker(chosen, clock)


def test_a_circuit_opens_at_half_and_not_before():
    clock = Clock()
    circuit = breaker(clock)

    for _ in range(3):
        circuit.succeeded()
    circuit.failed()
    circuit.failed()
    assert circuit.admit()
    circuit.failed()

    assert not circuit.admit()
    assert circuit.retry_after_seconds() == 5


def test_old_errors_are_forgotten():
    clock = Clock()
    circuit = breaker(clock)
    for _ in range(3):
        circuit.failed()

    clock.now += 11
    circuit.failed()

    assert circuit.admit()


def test_a_circuit_closes_step_by_step():
    clock = Clock()
    circuit = breaker(clock)
    for _ in range(4):
        circuit.failed()
    clock.now += 5

    assert circuit.admit()
    assert not circuit.admit()
    circuit.succeeded()
    assert circuit.admit()
    assert circuit.admit()
    assert not circuit.admit()
    circuit.abandoned()
    circuit.succeeded()
    while not circuit.is_closed:
        assert circuit.admit()
        circuit.succeeded()

    assert circuit.admit()


def test_a_circuit_that_fails_again_stays_open():
    clock = Clock()
    circuit = breaker(clock)
    for _ in range(4):
        circuit.failed()
    clock.now += 5
    assert circuit.admit()

    circuit.failed()

    assert not circuit.admit()
    assert circuit.retry_after_seconds() == 5


def test_retries_are_a_share_of_the_traffic():
    budget = RetryBudget(0.2)
    while budget.spend():
        pass

    sent = 0
    for _ in range(100):
        budget.earn()
        sent += budget.spend()

    assert sent in (19, 20)
