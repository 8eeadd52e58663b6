import random

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from alta_outbox_relay.metrics import ConfirmSeconds

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)


def test_the_histogram_of_many_is_that_of_each() -> None:
    single, many = CollectorRegistry(), CollectorRegistry()
    arguments = ("alta_outbox_confirm_seconds", "Time from publish to confirm.", ("schema",))
    reference = Histogram(*arguments, buckets=BUCKETS, registry=single)
    ours = ConfirmSeconds()
    many.register(ours)
    dice = random.Random(4)
    observed = [(dice.choice(BUCKETS), 3) for _ in range(20)] + [(dice.uniform(0, 40), 5) for _ in range(20)]

    for number, (seconds, count) in enumerate(observed):
        schema = ("identity", "projects")[number % 2]
        ours.observe(schema, seconds, count)
        for _ in range(count):
            reference.labels(schema).observe(seconds)

    def lines(registry: CollectorRegistry) -> dict[str, float]:
        text = generate_latest(registry).decode()
        samples = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: round(float(value), 6) for name, value in samples if "_created" not in name}

    assert lines(many) == lines(single)
    assert len(lines(many)) == 2 * 15
