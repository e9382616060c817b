"""Server-sent events: speech as JSON in the shape of OpenAI's, and an error in the middle of it."""

import base64
import contextlib
import json
import logging
from collections.abc import AsyncGenerator

from vocoder.errors import UserError

from ..errors import error_body, status_of
from ..schemas import WordTiming
from ..service.listener import Listener
from .audio_response import AudioResponse

MEDIA_TYPE = "text/event-stream"

logger = logging.getLogger(__name__)


def event(kind: str, **fields: object) -> bytes:
    """One event, whose name is its JSON's ``type``."""
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))
    return f"data: {data}\n\n".encode()


async def speech_events(
    listener: Listener, delivery: AudioResponse, *, characters: int, timings: bool
) -> AsyncGenerator[bytes, None]:
    """The events of a speech; closing this closes the listener.

    Args:
        listener: of the speech.
        delivery: how its audio is encoded.
        characters: length of the text, for the count of what was used.
        timings: whether to send when words are spoken, each sentence's before its audio.
    """
    count = 0
    async with contextlib.aclosing(listener):
        with contextlib.closing(delivery.encoder()) as encoder:
            async for chunk in listener:
                if timings and chunk.words:
                    words = [WordTiming.of(word).model_dump() for word in chunk.words]
                    yield event("speech.audio.timings", text=chunk.text, words=words)
                count += len(chunk.samples)
                if part := _delta(await delivery.encode(encoder, chunk.samples)):
                    yield part
            if part := _delta(await delivery.encode(encoder, None)):
                yield part
    frames = count // delivery.voice.config.features.hop_length
    usage = {
        "input_tokens": characters,
        "output_tokens": frames,
        "total_tokens": characters + frames,
    }
    yield event("speech.audio.done", usage=usage)


def _delta(data: bytes) -> bytes:
    return event("speech.audio.delta", audio=base64.b64encode(data).decode()) if data else b""


async def with_errors(parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The events, and one of ``type`` error where they break off: the status is out by then.

    Before the first event an error is raised.
    """
    begun = False
    async with contextlib.aclosing(parts):
        try:
            async for part in parts:
                yield part
                begun = True
        except UserError as error:
            if not begun:
                raise
            body = error_body(status_of(error), str(error), code=error.code, param=error.param)
            yield event("error", **body)
        except Exception:
            if not begun:
                raise
            logger.exception("unexpected error in the middle of a speech")
            yield event("error", **error_body(500, "internal error", code="internal_error"))
