"""The Python API: load a voice, then speak, stream, or copy a recording.

import vocoder

voice = vocoder.load("arctic")
samples = voice.speak("Hello there.", speaker="slt", seed=1)
voice.save("hello.wav", samples)
for chunk in voice.stream("A longer text. It plays while it is generated."):
    play(chunk.samples)
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from vocoder.audio import io as audio
from vocoder.audio.io import Samples
from vocoder.features import feature_file
from vocoder.features.feature_file import Features
from vocoder.generation.dispatch import AUTO
from vocoder.machine import resolve
from vocoder.synthesis.speech import AudioChunk, Speech
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices import voice as voices
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.shipped import shipped_voices
from vocoder.voices.voice import Voice


def load(
    voice: str | Path | None = None,
    *,
    voices_dir: str | Path | None = None,
    device: str = "cpu",
    engine: str = AUTO,
    weights: str | None = None,
    threads: int | None = None,
) -> "LoadedVoice":
    """Load a voice.

    Args:
        voice: the id of a voice in ``voices_dir``, as a string; or the folder of any voice, as a
            ``Path``; or None for the first voice in ``voices_dir``.
        voices_dir: folder of voice folders; that of the voices shipped with this package where
            None.
        device: ``cpu``, ``cuda`` or ``auto``.
        engine: name of the engine; ``auto`` selects the fastest one available.
        weights: number format of the weights, ``fp32``, ``bf16`` or ``int8``; chosen by the engine
            where None.
        threads: number of threads to generate with; chosen by the engine where None.

    Raises:
        UserError: there is no such voice, it is damaged, or ``device`` is unavailable.
    """
    if isinstance(voice, Path):
        loaded = voices.load(voice, resolve(device))
    else:
        folder = shipped_voices() if voices_dir is None else Path(voices_dir)
        loaded = VoiceRegistry(folder, resolve(device)).get(voice)
    return LoadedVoice(loaded, Synthesizer(engine, weights=weights, threads=threads))


class LoadedVoice:
    """A voice that is ready to speak. Get one from :func:`load`. Thread-safe."""

    def __init__(self, voice: Voice, synthesizer: Synthesizer) -> None:
        """Speak with ``voice`` through ``synthesizer``."""
        self.voice = voice
        self.synthesizer = synthesizer

    def __repr__(self) -> str:
        return f"<LoadedVoice {self.id}: {', '.join(self.speakers)}; {self.sample_rate_hz} Hz>"

    @property
    def id(self) -> str:
        """The voice's id."""
        return self.voice.id

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of all audio that this voice generates."""
        return self.voice.config.features.sample_rate_hz

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the speakers; the first is the default."""
        return self.voice.speakers

    def speak(
        self,
        text: str,
        *,
        speaker: str | None = None,
        seed: int = 0,
        speed: float = 1.0,
        pitch: float = 0.0,
        ssml: bool = False,
        lexicon: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
    ) -> Samples:
        """Speak a text.

        Args:
            text: plain text, or SSML if ``ssml``.
            speaker: one of :attr:`speakers`; the first where None.
            seed: seed of the noise; the same seed gives the same audio.
            speed: speaking rate as a factor, 0.25 to 4.
            pitch: shift in semitones, -12 to 12.
            ssml: whether ``text`` is SSML.
            lexicon: pronunciations in the IPA by word; they override the built-in ones.
            tags: some of the voice's tags, which describe the recording to imitate.

        Returns:
            Mono samples (T,) as a float32 NumPy array at :attr:`sample_rate_hz`; full scale is 1.

        Raises:
            UserError: the text cannot be spoken, or a setting is out of range.
        """
        chunks = self.stream(
            text,
            speaker=speaker,
            seed=seed,
            speed=speed,
            pitch=pitch,
            ssml=ssml,
            lexicon=lexicon,
            tags=tags,
        )
        return np.concatenate([chunk.samples for chunk in chunks])

    def stream(
        self,
        text: str,
        *,
        speaker: str | None = None,
        seed: int = 0,
        speed: float = 1.0,
        pitch: float = 0.0,
        ssml: bool = False,
        lexicon: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
    ) -> Iterator[AudioChunk]:
        """As :meth:`speak`, but yield the audio in chunks while it is generated.

        Joined together, the chunks' ``samples`` are exactly the samples that :meth:`speak` returns.
        The first chunk of each sentence also has its ``text`` and its ``words`` with their times.
        """
        speech = Speech(
            text=text,
            speaker=speaker,
            seed=seed,
            speed=speed,
            pitch=pitch,
            ssml=ssml,
            lexicon=lexicon or {},
            tags=tuple(tags),
        )
        return self.synthesizer.speak(speech, voice=self.voice)

    def analyze(self, recording: str | Path | Samples) -> Features:
        """Features of a recording, in this voice's format.

        Args:
            recording: path of a WAV, FLAC, MP3 or OGG file; or mono float32 samples (T,) at
                :attr:`sample_rate_hz`.

        Raises:
            UserError: there is no such file, or it contains no audio.
        """
        config = self.voice.config.features
        if isinstance(recording, str | Path):
            recording, _ = audio.read(Path(recording), config.sample_rate_hz)
        return feature_file.analyze(recording, config)

    def vocode(
        self,
        features: Features,
        *,
        speaker: str | None = None,
        seed: int = 0,
        tags: Sequence[str] = (),
        clarity: float = 0.0,
    ) -> Samples:
        """Turn features, from :meth:`analyze` for example, into audio.

        Args:
            features: F frames in this voice's format.
            speaker: one of :attr:`speakers`; the first where None.
            seed: seed of the noise; the same seed gives the same audio.
            tags: some of the voice's tags, which describe the recording to imitate.
            clarity: spectral contrast to add, 0 to 2: 0 for the features of recordings; 1 for
                predicted ones, as much as the voice adds to its own.

        Returns:
            Mono samples (F * hop,) as a float32 NumPy array at :attr:`sample_rate_hz`.

        Raises:
            UserError: the features do not match the voice, or it has no such speaker.
        """
        chunks = self.synthesizer.vocode(
            features, voice=self.voice, speaker=speaker, seed=seed, tags=tags, clarity=clarity
        )
        return np.concatenate(list(chunks))

    def save(self, path: str | Path, samples: Samples) -> None:
        """Write samples at :attr:`sample_rate_hz` as a ``.wav``, ``.flac`` or ``.mp3`` file.

        Raises:
            UserError: the file name ends in none of these.
        """
        audio.write(Path(path), samples, self.sample_rate_hz)
