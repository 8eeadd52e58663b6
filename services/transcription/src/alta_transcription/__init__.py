"""Transcribes recordings: faster-whisper or Google Speech-to-Text."""
