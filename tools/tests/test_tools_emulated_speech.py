"""What the emulated Speech-to-Text refuses, and hears, as Google does."""

import io
import wave
from collections.abc import AsyncIterator

import numpy as np
import pytest
from google.api_core.exceptions import InvalidArgument
from google.cloud import speech_v2
from google.cloud.speech_v2.types import cloud_speech

from alta_common.engines.google.connection import Connection, close_client, create_client
from alta_emulators.faults import Faults
from alta_emulators.operations import Operations
from alta_emulators.server import EmulatorServer
from alta_emulators.speech import SpeechService
from alta_emulators.voices import ScriptedSpeech

RECOGNIZER = "projects/test/locations/global/recognizers/_"
HELLO = cloud_speech.SpeechRecognitionResult(
    alternatives=[{"transcript": "hello", "confidence": 0.9, "words": [{"word": "hello", "confidence": 0.8}]}]
)


@pytest.fixture
def backend() -> ScriptedSpeech:
    return ScriptedSpeech(HELLO)


@pytest.fixture
async def client(backend: ScriptedSpeech) -> AsyncIterator[speech_v2.SpeechAsyncClient]:
    operations = Operations(Faults())
    server = EmulatorServer([operations.handler(), SpeechService(backend, operations, Faults()).handler()])
    client = create_client(speech_v2.SpeechAsyncClient, Connection("", emulator=await server.start()))
    yield client
    await close_client(client)
    await server.stop()
    await operations.close()


def a_wav(seconds: float = 1, *, channels: int = 1, bits: int = 16, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    # A tone on the last channel, silence on those before it.
    tone = np.zeros((round(seconds * rate), channels), "<i4" if bits == 32 else "<i2")
    tone[:, -1] = 8000 * np.sin(np.arange(len(tone)))
    with wave.open(file, "wb") as target:
        target.setnchannels(channels)
        target.setsampwidth(bits // 8)
        target.setframerate(rate)
        target.writeframes(tone.tobytes())
    return file.getvalue()


def a_request(content: bytes, **changes: object) -> speech_v2.RecognizeRequest:
    config = {
        "auto_decoding_config": {},
        "model": "long",
        "language_codes": ["en-US"],
        "features": {"enable_word_time_offsets": True, "enable_word_confidence": True},
    }
    return speech_v2.RecognizeRequest(recognizer=RECOGNIZER, config=config | changes, content=content)


async def recognize(client: speech_v2.SpeechAsyncClient, request: speech_v2.RecognizeRequest):
    return await client.recognize(request=request, retry=None, timeout=60)


REFUSED = [
    (a_request(a_wav(60.5)), "maximum of 60 seconds"),
    (a_request(a_wav(59, rate=48000, channels=2)), "payload size exceeds"),
    (a_request(a_wav(bits=32)), "supported encoding"),
    (a_request(a_wav(rate=4000)), "sample rate"),
    (a_request(b"%PDF-1.7 no sound"), "Unable to decode"),
    (a_request(a_wav(), language_codes=["en"]), 'language "en" is not supported'),
    (a_request(a_wav(), language_codes=[]), "language"),
    (a_request(a_wav(), model=""), "no model"),
]


@pytest.mark.parametrize(("request_", "message"), REFUSED, ids=[row[1][:20] for row in REFUSED])
async def test_what_google_refuses_is_refused(
    client: speech_v2.SpeechAsyncClient, request_: speech_v2.RecognizeRequest, message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        await recognize(client, request_)


async def test_a_started_second_is_billed(client: speech_v2.SpeechAsyncClient) -> None:
    answer = await recognize(client, a_request(a_wav(1.2)))

    assert answer.results[0].alternatives[0].transcript == "hello"
    assert answer.metadata.total_billed_duration.total_seconds() == 2


async def test_of_several_channels_the_first_is_heard(
    client: speech_v2.SpeechAsyncClient, backend: ScriptedSpeech
) -> None:
    await recognize(client, a_request(a_wav(channels=2)))
    await recognize(client, a_request(a_wav(channels=1)))

    loudest = [np.abs(np.frombuffer(wav[44:], "<i2")).max() for wav, _ in backend.heard]
    assert loudest[0] == 0
    assert loudest[1] > 1000


async def test_word_times_and_confidences_have_to_be_asked_for(client: speech_v2.SpeechAsyncClient) -> None:
    without_confidence = await recognize(client, a_request(a_wav(), features={"enable_word_time_offsets": True}))
    without_words = await recognize(client, a_request(a_wav(), features={}))

    assert without_confidence.results[0].alternatives[0].words[0].confidence == 0
    assert not without_words.results[0].alternatives[0].words
