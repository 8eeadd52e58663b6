"""Sends mails and webhooks, each once."""
