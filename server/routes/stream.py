"""Speech while its text or features are still arriving: the WebSocket ``/v1/audio/stream``.

OpenAPI does not describe WebSockets, so this is the reference. Text messages are JSON objects with
a ``type``; binary messages are audio to the client, or features from it.

The query sets the defaults of all contexts, all optional: ``model``, ``voice``, ``speaker``,
``seed``, ``speed``, ``pitch``, ``engine`` as in ``POST /v1/audio/speech``; ``encoding``, one of
``linear16`` (16-bit little-endian), ``mulaw`` and ``alaw``; ``sample_rate``; ``timings``.

Messages from the client. All but Close take an optional ``context_id``, which names one of several
voices that speak over one connection:

``{"type":"Speak","text":"..."}``
    Text, cut anywhere, for example the tokens of a language model. A sentence is spoken as soon as
    its end is certain. The first message of a context can also have the query's keys, and
    ``lexicon``.
``{"type":"Flush"}``
    Ends the utterance: everything that was sent is spoken. Its audio equals that of
    ``POST /v1/audio/speech`` for the whole text, sample by sample. ``Flushed`` follows when all of
    it has been sent.
``{"type":"Clear"}``
    Drops text and audio that have not been sent, and pending Flushes. Answered by ``Cleared``; no
    audio of the context follows it.
``{"type":"Cancel"}``
    The same, and ends the context. Answered by ``Cancelled``.
``{"type":"Start","input":"features"}``
    Announces features: binary messages of whole frames, each of ``n_mels`` float32 values,
    little-endian; or ``{"type":"Features","mel":[[...],...]}``, one list per frame (``linguistic``
    for a voice that is conditioned on linguistic features, with one value per channel). Audio
    begins before the last frame arrives. ``features`` can hold the settings they were computed
    with. ``Flush`` ends the utterance.
``{"type":"Close"}``
    Speaks everything that was sent, then closes with 1000.

Messages from the server:

``Metadata``
    When a context begins: ``request_id``, ``model_name``, ``voice``, ``speaker``, ``seed``,
    ``engine``, ``voice_hash``, ``sample_rate``, ``encoding``.
``Audio``
    Before audio of another context than the last: its ``context_id``.
``Timings``
    If requested, before a sentence's audio: its ``text`` as spoken and its ``words``, in seconds
    from the start of the utterance's audio.
``Flushed``
    ``sequence_id``, ``audio_s``, ``first_audio_ms`` (from the utterance's first message to its
    first audio), ``queue_ms`` (until its preparation began), ``real_time_factor`` (seconds per
    second of audio, including the client's own pauses).
``Cleared``, ``Cancelled``, ``Warning``
    ``Warning`` has ``code`` and ``description``.
``Error``
    ``error`` as in every other response, and ``retry_after_s`` if it makes sense to try again. The
    message had no effect, and the connection stays open. If an utterance fails midway, what is
    still sent for it is dropped until its Flush.

A connection needs a slot for a stream, and is refused with 429 if none is free. It holds the slot
while it speaks and for ten seconds (``idle_slot_s``) after; to speak again it needs a new one.

Close codes: 1000 after Close; 1003 for a binary message without a Start; 1007 for text that is not
UTF-8; 1008 for too many invalid messages in a row; 1009 for a message over the size limit; 1011 for
an internal error; 1012 when the server stops, after everything has been spoken.
"""

from fastapi import APIRouter
from starlette.websockets import WebSocket

from ..errors import Refusal
from ..middleware.authentication import refuse
from ..websocket.dialect import OWN
from ..websocket.handshake import admit
from ..websocket.messages import Options

router = APIRouter()

elsewhere = APIRouter()
"""Every other path; to be included last."""


@router.websocket("/v1/audio/stream")
async def stream(websocket: WebSocket) -> None:
    """See the module's docstring."""
    await admit(websocket, OWN, Options)


@elsewhere.websocket("/{path:path}")
async def unknown(websocket: WebSocket) -> None:
    """Answer a handshake like a request to a path that does not exist."""
    message = f"there is no WebSocket at {websocket.url.path[:200]}: use /v1/audio/stream"
    refusal = Refusal(404, message, code="not_found")
    await refuse(refusal, websocket.scope, websocket.receive, websocket.send)
