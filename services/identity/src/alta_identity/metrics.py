"""What identity counts. Labels hold outcomes, never ids or addresses."""

from prometheus_client import Counter, Gauge, Histogram

REGISTRATIONS = Counter("alta_identity_registrations_total", "Calls of register, by what they led to.", ["outcome"])
VERIFICATIONS = Counter("alta_identity_verifications_total", "Addresses proven.")
SIGN_INS = Counter("alta_identity_sign_ins_total", "Sign-ins, by outcome.", ["outcome"])
REFRESHES = Counter("alta_identity_refreshes_total", "Uses of refresh tokens, by outcome.", ["outcome"])
SESSIONS_ENDED = Counter("alta_identity_sessions_ended_total", "Sessions ended before their time.", ["reason"])
REVOCATIONS_DUE = Gauge(
    "alta_identity_revocations_due", "Ended sessions that Redis, and so the gateway, does not know of yet."
)
HASH_SECONDS = Histogram(
    "alta_identity_hash_seconds",
    "Time in a thread of one password hash or check.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
HASH_QUEUE = Gauge("alta_identity_hash_queue", "Password jobs that wait or run.")
HASH_REFUSED = Counter("alta_identity_hash_refused_total", "Password jobs refused because the queue was too long.")
