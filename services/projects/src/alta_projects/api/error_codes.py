"""Why items fail, in the words of the API document; docs/errors.md says the same at more length."""

CODES = {
    "unsupported_media_type": "the file turned out to be of another kind than its first bytes promised",
    "corrupt_file": "the file is damaged",
    "password_protected": "the PDF asks for a password",
    "too_many_pages": "more pages than are read",
    "image_too_large": "a page has more pixels than are read",
    "image_too_small": "a page has too few pixels to be read",
    "file_too_large": "more bytes than the engine takes",
    "audio_too_long": "the recording is longer than what is transcribed",
    "no_audio": "the file has no sound in it",
    "unsupported_language": "the engine does not know the language that was asked for",
    "invalid_input": "the engine refused the file for a reason of its own",
    "file_missing": "the stored file is not there any more",
    "timeout": "it took longer than it may",
    "out_of_memory": "it took more memory than it may",
    "engine_unavailable": "the engine does not answer, or this deployment does not have it",
    "engine_failed": "the engine gave up on this file",
    "engine_crashed": "the engine's process ended while it was reading this file",
}
"""Code → what happened."""

ERROR_CODES = "; ".join(f"`{code}`: {meaning}" for code, meaning in CODES.items()) + ". More may be added."
