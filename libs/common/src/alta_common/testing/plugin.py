"""Fixtures for every test of the checkout: real PostgreSQL, Redis, RabbitMQ and SMTP."""
