"""One listener on a WebSocket: sends text, receives audio, and checks it by a play clock."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .playing import PlayClock
from .server import Server
from .texts import talk

SAMPLE_BYTES = 2
ASKED_S = 8.0
"""Speech requested ahead of playback: about one utterance and the next."""

CHARACTER_S = 0.065
"""Approximate length of speech per character."""

LEAD_S = 2.0
"""How far ahead of playback a source sends its features."""

SEND_EVERY_S = 0.05
PATIENCE_S = 20.0


@dataclass
class Heard:
    """What one listener received.

    Attributes:
        clock: of its player; None if it received nothing.
        first_audio_s: time from its first text or features to its first audio.
        refused_s: how long the refusal took, if it was refused.
        error: what went wrong, if anything did.
        utterances: those that are complete.
        spoken_s: length of their audio.
    """

    clock: PlayClock | None = None
    first_audio_s: float | None = None
    refused_s: float | None = None
    error: str | None = None
    utterances: int = 0
    spoken_s: float = 0.0


class Source(Protocol):
    """What a listener requests."""

    query: dict[str, object]

    async def send(self, socket: ClientConnection, heard: Heard) -> None:
        """Send it in time, without end."""


@dataclass
class Talk:
    """Endless utterances, each sent ``ASKED_S`` before it is due to be played."""

    texts: Iterator[str]
    query: dict[str, object] = field(default_factory=dict)

    async def send(self, socket: ClientConnection, heard: Heard) -> None:
        """Send an utterance whenever the audio requested so far is about to run out."""
        lengths: list[float] = []  # Estimates, used until they are known.
        while True:
            clock = heard.clock
            played_s = clock.played_s(time.perf_counter()) if clock else 0.0
            left_s = heard.spoken_s + sum(lengths[heard.utterances :]) - played_s
            if left_s > ASKED_S:
                await asyncio.sleep(max(SEND_EVERY_S, left_s - ASKED_S))
                continue
            text = next(self.texts)
            lengths.append(CHARACTER_S * len(text))
            await socket.send(json.dumps({"type": "Speak", "text": text}))
            await socket.send('{"type":"Flush"}')


@dataclass
class Recording:
    """A recording's features in a loop, sent a little ahead of playback."""

    frames: npt.NDArray[np.float32]
    frames_per_s: float
    query: dict[str, object] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Load a feature file."""
        with safe_open(path, framework="numpy") as file:
            mel, settings = file.get_tensor("mel"), file.metadata()
        rate = float(settings["sample_rate_hz"]) / float(settings["hop_length"])
        return cls(np.ascontiguousarray(mel.T, dtype="<f4"), rate)

    def again(self, **query: object) -> "Recording":
        """The same features for another listener."""
        return Recording(self.frames, self.frames_per_s, query)

    async def send(self, socket: ClientConnection, heard: Heard) -> None:
        """Announce features, then send frames ``LEAD_S`` before they are needed."""
        await socket.send(json.dumps({"type": "Start", "input": "features"}))
        sent, begun = 0, time.perf_counter()
        while True:
            end = round((time.perf_counter() - begun + LEAD_S) * self.frames_per_s)
            while sent < end:
                first = sent % len(self.frames)
                part = self.frames[first : first + end - sent]
                await socket.send(part.tobytes())
                sent += len(part)
            await asyncio.sleep(SEND_EVERY_S)


def talking(number: int, voice: str | None) -> Talk:
    """The texts of listener ``number``."""
    return Talk(talk(number), {"seed": number, "voice": voice})


async def listen(server: Server, source: Source, until: float, buffer_s: float) -> Heard:
    """Listen to ``source`` until ``until`` (``time.perf_counter``)."""
    heard, asked = Heard(), time.perf_counter()
    try:
        async with server.socket(**source.query) as socket:
            await _hear(socket, source, heard, until, buffer_s)
    except InvalidStatus as error:
        if error.response.status_code == 429:
            heard.refused_s = time.perf_counter() - asked
        else:
            heard.error = f"refused with {error.response.status_code}"
    except (OSError, ConnectionClosed, TimeoutError) as error:
        heard.error = f"{type(error).__name__}: {error}"
    return heard


async def _hear(
    socket: ClientConnection, source: Source, heard: Heard, until: float, buffer_s: float
) -> None:
    asked = time.perf_counter()
    sending = asyncio.create_task(source.send(socket, heard))
    loop = asyncio.get_running_loop()
    rate_hz = 0
    try:
        # Audio that should have arrived by then is counted as missed below.
        async with asyncio.timeout_at(loop.time() + max(0.0, until - asked)):
            async for message in socket:
                now = time.perf_counter()
                if isinstance(message, bytes):
                    if heard.clock is None:
                        heard.first_audio_s = now - asked
                        heard.clock = PlayClock(SAMPLE_BYTES * rate_hz, buffer_s)
                    heard.clock.hear(len(message), now)
                else:
                    event = json.loads(message)
                    if event["type"] == "Metadata":
                        rate_hz = event["sample_rate"]
                    elif event["type"] == "Flushed":
                        heard.utterances += 1
                        heard.spoken_s = heard.clock.audio_s if heard.clock else 0.0
                    elif event["type"] == "Error":
                        heard.error = event["error"]["message"]
                        return
            heard.error = f"the server closed with {socket.close_code}"
    except TimeoutError:
        now = time.perf_counter()
        if heard.clock is not None:
            heard.clock.miss(now)
        elif now - asked > PATIENCE_S:
            heard.error = f"nothing was heard for {now - asked:.0f} s"
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
            await sending
