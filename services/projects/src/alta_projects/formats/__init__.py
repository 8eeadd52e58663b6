"""Results in the formats of others: pure functions from a canonical result to a string."""
