"""The local stack: private servers, a mail catcher and all services on one machine, without containers."""
