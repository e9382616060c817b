"""Server-sent events: speech as JSON in the shape of OpenAI's, and an error in the middle of it."""

import base64
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

from server.delivery import Delivery
from server.errors import error_body, status_of
from server.schemas import WordTiming
from vocoder.errors import UserError
from vocoder.speech import Spoken

MEDIA_TYPE = "text/event-stream"

logger = logging.getLogger(__name__)


def event(kind: str, **fields: object) -> bytes:
    """One event, whose name is its JSON's ``type``."""
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))
    return f"data: {data}\n\n".encode()


def speech_events(
    spoken: Iterator[Spoken], delivery: Delivery, *, characters: int, timings: bool
) -> Generator[bytes, None, None]:
    """The events of a speech.

    Args:
        spoken: the speech.
        delivery: how its audio is encoded.
        characters: length of the text, for the count of what was used.
        timings: whether to send when words are spoken, each sentence's before its audio.
    """
    count = 0
    with contextlib.closing(delivery.encoder()) as encoder:
        for chunk in spoken:
            if timings and chunk.words:
                words = [WordTiming.of(word).model_dump() for word in chunk.words]
                yield event("speech.audio.timings", text=chunk.text, words=words)
            count += len(chunk.samples)
            yield _delta(encoder.push(chunk.samples))
        yield _delta(encoder.finish())
    frames = count // delivery.voice.config.features.hop_length
    usage = {
        "input_tokens": characters,
        "output_tokens": frames,
        "total_tokens": characters + frames,
    }
    yield event("speech.audio.done", usage=usage)


def _delta(data: bytes) -> bytes:
    return event("speech.audio.delta", audio=base64.b64encode(data).decode()) if data else b""


async def with_errors(parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """The events, and one of ``type`` error where they break off: the status is out already."""
    async with contextlib.aclosing(parts):
        try:
            async for part in parts:
                yield part
        except UserError as error:
            body = error_body(status_of(error), str(error), code=error.code, param=error.param)
            yield event("error", **body)
        except Exception:
            logger.exception("unexpected error in the middle of a speech")
            yield event("error", **error_body(500, "internal error", code="internal_error"))
