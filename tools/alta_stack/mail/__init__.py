"""A mail catcher: takes every mail over SMTP, delivers none, and shows them through Mailpit's HTTP API."""
