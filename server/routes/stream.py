"""Speech while its text or features are still being made: the WebSocket ``/v1/audio/stream``.

OpenAPI does not describe WebSockets, so this is their reference. Text messages are JSON objects
with a ``type``; binary messages are audio to the client, features from it.

The query holds the defaults of all contexts, each optional: ``model``, ``voice``, ``speaker``,
``seed``, ``speed``, ``pitch``, ``engine`` as in ``POST /v1/audio/speech``; ``encoding``, one of
``linear16`` (16-bit little-endian), ``mulaw`` and ``alaw``; ``sample_rate``; ``timings``.

What a client sends; ``context_id`` is optional in all of them, and names one of several voices that
speak on one connection:

``{"type":"Speak","text":"..."}``
    Text in any pieces, such as the tokens of a language model. A sentence is spoken as soon as it
    is certain to be one. The first message of a context may have the query's keys too, and
    ``lexicon``.
``{"type":"Flush"}``
    Speak all that is there: the turn ends. Its audio is that of ``POST /v1/audio/speech`` for its
    whole text, sample by sample. ``Flushed`` comes when all of it was sent.
``{"type":"Clear"}``
    Drop the text and the audio that were not sent, and the Flush that waits for them. Answered by
    ``Cleared``; no audio of the context comes after that.
``{"type":"Cancel"}``
    The same, and the context is over. Answered by ``Cancelled``.
``{"type":"Start","input":"features"}``
    Features follow: binary messages of whole frames, each of ``n_mels`` float32 values,
    little-endian; or ``{"type":"Features","mel":[[...],...]}``, a list a frame (``linguistic`` for
    a voice that is conditioned on linguistic features, frames of as many values as it has). Audio
    begins before the last frame is there. ``features`` may hold settings that they were made with.
    ``Flush`` ends the utterance.
``{"type":"Close"}``
    Speak all that is there, then close with 1000.

What it gets:

``Metadata``
    When a context begins: ``request_id``, ``model_name``, ``voice``, ``speaker``, ``seed``,
    ``engine``, ``voice_hash``, ``sample_rate``, ``encoding``.
``Audio``
    Before audio of another context than the last: its ``context_id``.
``Timings``
    Where asked for, before a sentence's audio: its ``text`` as it is spoken and its ``words``, in
    seconds from the start of the turn's audio.
``Flushed``
    ``sequence_id``, ``audio_s``, ``first_audio_ms`` (from the turn's first message to its first
    audio), ``queue_ms`` (until it began to be prepared), ``real_time_factor`` (seconds that a
    second of audio took, the client's own pauses included).
``Cleared``, ``Cancelled``, ``Warning``
    ``Warning`` has ``code`` and ``description``.
``Error``
    ``error`` as in every other answer, and ``retry_after_s`` where it is worth trying again. The
    message was not taken; the connection goes on. Where a turn breaks off, what is still sent for
    it is dropped until its Flush.

A connection needs a place among the streams, and is refused with 429 where there is none. It keeps
it while it speaks and ten seconds of silence after; when it speaks again it needs one again.

Closed with 1000 after Close; 1003 for a binary message without a Start; 1007 for text that is not
UTF-8; 1008 for nothing but mistakes; 1009 for a message that is too big; 1011 for an error of the
server; 1012 when the server stops, after all has been spoken.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.websockets import WebSocket

from vocoder.errors import UserError

from ..errors import Refusal, status_of
from ..middleware.authentication import refuse
from ..service.service import Service
from ..websocket.connection import serve
from ..websocket.dialect import OWN, Dialect
from ..websocket.messages import Options, parse_query

router = APIRouter()


@router.websocket("/v1/audio/stream")
async def stream(websocket: WebSocket) -> None:
    """See the module's description."""
    await admit(websocket, OWN, Options)


Reading = Callable[[Service, Options], Awaitable[Options]]
"""What options mean in our own words."""


async def _as_they_are(service: Service, options: Options) -> Options:
    return options


async def admit(
    websocket: WebSocket, dialect: Dialect, model: type[Options], meant: Reading = _as_they_are
) -> None:
    """Serve a client in a dialect, or refuse it before the handshake.

    Args:
        websocket: of a client that has not been answered.
        dialect: in which it speaks.
        model: of its query.
        meant: what the query means.
    """
    service: Service = websocket.app.state.service
    try:
        options = parse_query(websocket.query_params.multi_items(), model)
        await serve(websocket, service, dialect, await meant(service, options))
    except Refusal as error:
        refusal = error
    except UserError as error:
        refusal = Refusal(status_of(error), str(error), code=error.code, param=error.param)
    else:
        return
    await refuse(refusal, websocket.scope, websocket.receive, websocket.send)
