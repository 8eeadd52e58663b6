"""Moves outbox events into RabbitMQ, in order, without loss."""
