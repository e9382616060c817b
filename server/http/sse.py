"""Server-sent events: speech as JSON in OpenAI's format, and errors in the middle of it."""

import base64
import contextlib
import json
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from vocoder.errors import UserError

from ..errors import error_body, status_of
from ..schemas import WordTiming
from ..service.listener import Listener
from .audio_response import AudioResponse

MEDIA_TYPE = "text/event-stream"

logger = logging.getLogger(__name__)


def event(kind: str, **fields: object) -> bytes:
    """One event; its JSON's ``type`` is ``kind``."""
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))
    return f"data: {data}\n\n".encode()


@dataclass(frozen=True)
class EventResponse(AudioResponse):
    """Audio as server-sent events.

    Attributes:
        characters: length of the text, for the usage.
        timings: whether to send word timings before each sentence's audio.
    """

    characters: int
    timings: bool

    @property
    def media_type(self) -> str:
        """See :class:`AudioResponse`."""
        return MEDIA_TYPE

    async def parts(self, listener: Listener) -> AsyncGenerator[bytes, None]:
        """See :class:`AudioResponse`."""
        count = 0
        async with contextlib.aclosing(listener):
            with self.encoder() as encoder:
                async for chunk in listener:
                    if self.timings and chunk.words:
                        words = [WordTiming.of(word).model_dump() for word in chunk.words]
                        yield event("speech.audio.timings", text=chunk.text, words=words)
                    count += len(chunk.samples)
                    if part := _delta(await encoder.push(chunk.samples)):
                        yield part
                if part := _delta(await encoder.finish()):
                    yield part
        frames = count // self.speaker.voice.config.features.hop_length
        usage = {
            "input_tokens": self.characters,
            "output_tokens": frames,
            "total_tokens": self.characters + frames,
        }
        yield event("speech.audio.done", usage=usage)

    async def guarded(self, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The events; an error after the first becomes an event, as the status has been sent."""
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


def _delta(data: bytes) -> bytes:
    return event("speech.audio.delta", audio=base64.b64encode(data).decode()) if data else b""
