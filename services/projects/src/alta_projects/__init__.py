"""Projects, members, documents, voice samples and their results."""
