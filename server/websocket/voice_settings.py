"""Who speaks in a context and how, decided from its options."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from vocoder.audio.encoder import Encoder
from vocoder.audio.g711 import LawEncoder
from vocoder.audio.io import Samples
from vocoder.synthesis.speech import Speech
from vocoder.voices.voice import Voice

from ..http import speakers as names
from ..http.audio_response import LARGEST_DRAWN_SEED
from ..service.service import Service
from .messages import Encoding, Options


class ChunkEncoder(Protocol):
    """Encodes one signal that comes in chunks."""

    def push(self, samples: Samples) -> bytes:
        """Take a chunk (T,); give what is encoded by now."""

    def finish(self) -> bytes:
        """The rest."""


@dataclass(frozen=True)
class VoiceSettings:
    """Everything that the samples of a context depend on, but the text.

    Attributes:
        voice: who speaks.
        speaker: one of the voice's.
        seed: of each turn's first sentence.
        speed: factor.
        pitch: shift in semitones.
        lexicon: words and their IPA.
        engine: by name, as it was asked for; the server's own where None.
        engine_name: of the one that runs.
        encoding: of the audio.
        rate_hz: of the audio.
        timings: whether the times of words are sent.
    """

    voice: Voice
    speaker: str
    seed: int
    speed: float
    pitch: float
    lexicon: Mapping[str, str]
    engine: str | None
    engine_name: str
    encoding: Encoding
    rate_hz: int
    timings: bool

    @property
    def own_rate_hz(self) -> int:
        """The voice's own rate."""
        return self.voice.config.features.sample_rate_hz

    @property
    def speech(self) -> Speech:
        """How a text is said; the text itself is none of its business."""
        return Speech(
            "",
            speaker=self.speaker,
            seed=self.seed,
            speed=self.speed,
            pitch=self.pitch,
            lexicon=self.lexicon,
        )

    def encoder(self) -> ChunkEncoder:
        """An encoder of the voice's samples."""
        if self.encoding == "linear16":
            return Encoder("pcm", self.own_rate_hz, self.rate_hz)
        return LawEncoder(self.encoding, self.own_rate_hz, self.rate_hz)

    def metadata(self) -> dict[str, object]:
        """What a client is told of it."""
        return {
            "model_name": self.voice.id,
            "voice": self.voice.id,
            "speaker": self.speaker,
            "seed": self.seed,
            "engine": self.engine_name,
            "voice_hash": self.voice.digest,
            "sample_rate": self.rate_hz,
            "encoding": self.encoding,
        }


async def decide(
    service: Service, options: Options, lexicon: Mapping[str, str] | None = None
) -> VoiceSettings:
    """Who is to speak and how; the seed is drawn where none is given.

    Raises:
        UserError: no such voice or speaker, or an engine that cannot run.
        Refusal: as :meth:`Service.voice` does.
    """
    voice, speaker = await names.speaker(service, options.model, options.voice, options.speaker)
    engine = options.engine
    return VoiceSettings(
        voice=voice,
        speaker=speaker,
        seed=secrets.randbelow(LARGEST_DRAWN_SEED) if options.seed is None else options.seed,
        speed=options.speed,
        pitch=options.pitch,
        lexicon=lexicon or {},
        engine=engine,
        engine_name=await service.engine_name(voice, engine),
        encoding=options.encoding,
        rate_hz=int(options.sample_rate or voice.config.features.sample_rate_hz),
        timings=options.timings,
    )
