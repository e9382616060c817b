"""The voice of a context and its settings, resolved from the options."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from vocoder.audio.encoder import Encoder
from vocoder.audio.g711 import LawEncoder
from vocoder.synthesis.request import Vocoding
from vocoder.synthesis.speech import Speech
from vocoder.voices.voice import Voice

from ..http.audio_response import LARGEST_DRAWN_SEED
from ..http.encoding import ChunkEncoder
from ..http.speakers import find_speaker
from ..service.service import Service
from .messages import Encoding, Options


@dataclass(frozen=True)
class VoiceSettings:
    """Everything but the text that a context's audio depends on.

    Attributes:
        voice: that speaks.
        speaker: one of the voice's.
        seed: of each utterance's first sentence.
        speed: factor.
        pitch: shift in semitones.
        clarity: of features; see :class:`~vocoder.synthesis.request.Vocoding`.
        lexicon: words and their pronunciations in the IPA.
        engine: that generates, by name.
        encoding: of the audio.
        rate_hz: of the audio.
        timings: whether word timings are sent.
        max_s: longest audio of an utterance, in seconds.
    """

    voice: Voice
    speaker: str
    seed: int
    speed: float
    pitch: float
    clarity: float
    lexicon: Mapping[str, str]
    engine: str
    encoding: Encoding
    rate_hz: int
    timings: bool
    max_s: float

    def speech(self) -> Speech:
        """How to speak a text that will arrive as an input stream."""
        return Speech(
            "",
            speaker=self.speaker,
            seed=self.seed,
            speed=self.speed,
            pitch=self.pitch,
            lexicon=self.lexicon,
            max_s=self.max_s,
        )

    def vocoding(self) -> Vocoding:
        """How to vocode features that will arrive as an input stream."""
        return Vocoding(None, speaker=self.speaker, seed=self.seed, clarity=self.clarity)

    def encoder(self) -> ChunkEncoder:
        """An encoder of the voice's samples."""
        own_rate_hz = self.voice.config.features.sample_rate_hz
        if self.encoding == "linear16":
            return Encoder("pcm", own_rate_hz, self.rate_hz)
        return LawEncoder(self.encoding, own_rate_hz, self.rate_hz)

    def metadata(self) -> dict[str, object]:
        """The fields of the ``Metadata`` message."""
        return {
            "model_name": self.voice.id,
            "voice": self.voice.id,
            "speaker": self.speaker,
            "seed": self.seed,
            "engine": self.engine,
            "voice_hash": self.voice.digest,
            "sample_rate": self.rate_hz,
            "encoding": self.encoding,
        }


async def resolve(
    service: Service, options: Options, lexicon: Mapping[str, str] | None = None
) -> VoiceSettings:
    """The settings that the options mean; draws the seed if none is given.

    Raises:
        UserError: there is no such voice or speaker, or the engine cannot run it.
        Refusal: see :meth:`Service.voice`.
    """
    voice, speaker = await find_speaker(service, options.model, options.voice, options.speaker)
    engine = await service.engine(voice, options.engine)
    return VoiceSettings(
        voice=voice,
        speaker=speaker,
        seed=secrets.randbelow(LARGEST_DRAWN_SEED) if options.seed is None else options.seed,
        speed=options.speed,
        pitch=options.pitch,
        clarity=options.clarity,
        lexicon=lexicon or {},
        engine=engine.name,
        encoding=options.encoding,
        rate_hz=int(options.sample_rate or voice.config.features.sample_rate_hz),
        timings=options.timings,
        max_s=service.settings.max_speech_s,
    )
