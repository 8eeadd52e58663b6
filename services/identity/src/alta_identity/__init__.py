"""Accounts, sessions, tokens and their audit trail."""
