"""Text or features to audio: what the command line, the server and the evaluation all call."""

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from vocoder.audio.io import Samples
from vocoder.features.feature_file import Features, joined
from vocoder.generation import dispatch
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import Noise
from vocoder.scheduling.segment import PostFilter, Segment
from vocoder.synthesis.input_stream import InputStream
from vocoder.synthesis.request import SynthesisRequest, Vocoding
from vocoder.synthesis.segments import (
    SentenceTimings,
    correction,
    feature_segments,
    speech_segments,
)
from vocoder.synthesis.spectral_correction import CorrectionChain
from vocoder.synthesis.speech import (
    AudioChunk,
    PlannedSentence,
    Speech,
    fed_renderings,
    planned,
    renderings,
)
from vocoder.text.frontend import TextFrontEnd
from vocoder.voices.voice import Voice
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction

CHUNK_FRAMES = 8
"""Frames that are generated between two looks at whether the listener is still there."""


class Request(NamedTuple):
    """One utterance to vocode in a batch."""

    features: Features
    speaker: str | None = None
    seed: int = 0


class Synthesizer:
    """Turns text or features into audio, with any voice. Thread-safe."""

    def __init__(
        self,
        engine: str = dispatch.AUTO,
        *,
        weights: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Speak with ``engine``, or the fastest that can run a voice where it is ``auto``.

        ``weights`` (number format) and ``threads`` are the engine's own choice where None.
        """
        self.default_engine = engine
        self._weights, self._threads = weights, threads
        self._lock = threading.Lock()
        self._engines: dict[tuple[str, str, float], Engine] = {}
        self._front_end = TextFrontEnd()

    def engine(self, voice: Voice, name: str | None = None) -> Engine:
        """The engine that speaks for a voice, made when first asked for.

        Raises:
            EngineError: it is unknown, or cannot run this voice here.
        """
        key = self._key(voice, name)
        with self._lock:
            if key not in self._engines:
                self._engines[key] = dispatch.create(
                    voice.model,
                    key[1],
                    temperature=key[2],
                    weights=self._weights,
                    threads=self._threads,
                )
            return self._engines[key]

    def made_engine(self, voice: Voice, name: str | None = None) -> Engine | None:
        """As :meth:`engine`, without waiting: None where it has not been made yet."""
        return self._engines.get(self._key(voice, name))

    def _key(self, voice: Voice, name: str | None) -> tuple[str, str, float]:
        name = self.default_engine if name is None else name
        return voice.digest, name, voice.manifest.generation.temperature

    def forget(self, voice: Voice) -> None:
        """Let go of a voice's engines."""
        with self._lock:
            for key in [key for key in self._engines if key[0] == voice.digest]:
                del self._engines[key]

    def engine_name(self, voice: Voice, name: str | None = None) -> str:
        """Name of the engine that speaks for a voice."""
        return self.engine(voice, name).name

    def warm_up(self, voice: Voice) -> None:
        """Load and run everything once, so that the first listener need not wait for it."""
        if voice.acoustic is None:
            self.engine(voice)
            return
        for _ in self.speak(Speech("Ready."), voice=voice):
            pass

    def vocode(
        self,
        features: Features,
        *,
        voice: Voice,
        speaker: str | None = None,
        seed: int = 0,
        tags: Sequence[str] = (),
        engine: str | None = None,
    ) -> Iterator[Samples]:
        """Audio of features, in chunks as it is generated.

        Args:
            features: made with the voice's settings.
            voice: who speaks.
            speaker: one of the voice's; its first where None.
            seed: of the noise; the same seed gives the same audio.
            tags: of the voice's.
            engine: by name; the synthesizer's own where None.

        Returns:
            Chunks (T,) at the voice's rate, none empty, F * hop samples in all.

        Raises:
            UserError: before the first chunk, for features, speaker, seed or engine that don't fit.
        """
        request = SynthesisRequest(voice, Vocoding(features, speaker, seed, tuple(tags)))
        segments = self.segments(request)
        return (chunk.samples for chunk in self._alone(self.engine(voice, engine), segments, voice))

    def speak(
        self, speech: Speech, *, voice: Voice, engine: str | None = None
    ) -> Iterator[AudioChunk]:
        """Audio of a text, in chunks as it is generated, sentence by sentence.

        Args:
            speech: what to say and how.
            voice: who speaks.
            engine: by name; the synthesizer's own where None.

        Raises:
            UserError: before the first chunk, for a text, voice or setting that cannot be.
        """
        segments = self.segments(SynthesisRequest(voice, speech))
        return self._alone(self.engine(voice, engine), segments, voice)

    def segments(self, request: SynthesisRequest) -> Iterator[Segment | None]:
        """What an engine must generate for a request; None while its input stream is empty.

        Raises:
            UserError: at once, as :meth:`speak` and :meth:`vocode` do; for text or frames of the
                input stream, when they arrive.
        """
        voice, content = request.voice, request.content
        if isinstance(content, Vocoding):
            frames = cast(InputStream[Tensor] | None, request.input)
            return feature_segments(content, voice, frames)
        text = cast(InputStream[str] | None, request.input)
        if text is None:
            return speech_segments(content, renderings(content, voice, self._front_end), voice)
        found = fed_renderings(content, text, voice, self._front_end)
        return speech_segments(content, found, voice)

    def features(self, speech: Speech, *, voice: Voice) -> Features:
        """What :meth:`speak` vocodes, all sentences one after another.

        Raises:
            UserError: as :meth:`speak` does.
        """
        config = voice.config.features
        made = [r.features(config) for r in renderings(speech, voice, self._front_end)]
        return joined(made)

    def plan(self, speech: Speech, *, voice: Voice) -> Iterator[PlannedSentence]:
        """What :meth:`speak` would say, without any audio.

        Raises:
            UserError: as :meth:`speak` does.
        """
        return planned(renderings(speech, voice, self._front_end))

    def _alone(
        self, engine: Engine, pieces: Iterator[Segment | None], voice: Voice
    ) -> Iterator[AudioChunk]:
        """Audio of pieces, one row by itself."""
        features, passes = voice.config.features, voice.manifest.generation.correction_passes
        finisher: PostFilter | None = None
        for piece in pieces:
            assert piece is not None, "nothing more will come to wait for"
            if piece.beginning is not None:
                finisher, label = piece.beginning.finisher, piece.beginning.label
                state = engine.start(1)
                seeds = torch.tensor([piece.beginning.seed], device=state.position.device)
                # Just as much at first as the first audio needs.
                count = CorrectionChain.samples_before_audio(features, passes)
            assert finisher is not None, "an utterance without a beginning"
            finisher.extend(piece.mel)
            left = piece.conditioning.blocks * voice.config.hold
            while left:
                count = min(count, left)
                noise = Noise(seeds, count)
                bare = engine.generate(state, piece.conditioning, noise)[0].cpu().numpy()
                left, count = left - count, CHUNK_FRAMES * features.hop_length
                samples = finisher.push(bare)
                if piece.last and not left:
                    samples = np.concatenate((samples, finisher.flush()))
                if len(samples):
                    said = label if isinstance(label, SentenceTimings) else SentenceTimings("", ())
                    yield AudioChunk(samples, said.text, said.words)
                    label = None

    def vocode_many(
        self, requests: Sequence[Request], *, voice: Voice, engine: str | None = None
    ) -> list[Samples]:
        """Audio of several requests in one batch; each as :meth:`vocode` gives it alone."""
        runner = self.engine(voice, engine)
        hop = voice.config.features.hop_length
        frames = [request.features.frames for request in requests]
        batch = _stack([condition(voice, request) for request in requests])
        state = runner.start(len(requests))
        device = state.position.device
        seeds = torch.tensor([request.seed for request in requests], device=device)
        audio = np.zeros((len(requests), max(frames) * hop), dtype=np.float32)
        for first in range(0, max(frames), CHUNK_FRAMES):
            # Rows that are done leave the batch; one that ends within the chunk overruns into
            # padding, which is cut off below.
            rows = torch.tensor([row for row, count in enumerate(frames) if count > first])
            steps = min(CHUNK_FRAMES, max(frames) - first) * hop
            index = rows.to(device)
            noise = Noise(seeds[index], steps)
            chunk = runner.generate(state, _rows(batch, rows), noise, index)
            audio[rows.numpy(), first * hop : first * hop + steps] = chunk.cpu().numpy()
        finished = []
        for row, request in enumerate(requests):
            chain = correction(voice)
            chain.extend(request.features.mel.numpy())
            bare = audio[row, : request.features.frames * hop]
            finished.append(np.concatenate((chain.push(bare), chain.flush())))
        return finished


def condition(voice: Voice, request: Request) -> Conditioning:
    """Conditioning (one row) of a whole request, made alone: it never depends on others.

    Raises:
        UserError: for features, a speaker or a seed that do not fit.
    """
    segments = feature_segments(Vocoding(request.features, request.speaker, request.seed), voice)
    parts = [segment.conditioning for segment in segments if segment is not None]
    predictions = [part.prediction for part in parts if part.prediction is not None]
    prediction = None
    if predictions:
        joined = (torch.cat(same, dim=1) for same in zip(*predictions, strict=True))
        prediction = LinearPrediction(*joined)
    return parts[0]._replace(local=torch.cat([p.local for p in parts], 1), prediction=prediction)


def _stack(conditionings: Sequence[Conditioning]) -> Conditioning:
    """One conditioning of all rows, the last block of shorter ones repeated to the longest."""
    blocks = max(conditioning.blocks for conditioning in conditionings)
    predictions = [c.prediction for c in conditionings if c.prediction is not None]
    prediction = None
    if predictions:
        parts = zip(*predictions, strict=True)
        prediction = LinearPrediction(*(_pad_and_join(part, blocks) for part in parts))
    return Conditioning(
        _pad_and_join([c.local for c in conditionings], blocks),
        torch.cat([c.speaker for c in conditionings]),
        prediction,
        torch.cat([c.first for c in conditionings]),
    )


def _pad_and_join(parts: Sequence[Tensor], blocks: int) -> Tensor:
    index = torch.arange(blocks, device=parts[0].device)
    return torch.cat([part[:, index.clamp_max(part.shape[1] - 1)] for part in parts])


def _rows(conditioning: Conditioning, rows: Tensor) -> Conditioning:
    prediction = conditioning.prediction
    if prediction is not None:
        prediction = LinearPrediction(*(part[rows] for part in prediction))
    return Conditioning(
        conditioning.local[rows], conditioning.speaker[rows], prediction, conditioning.first[rows]
    )
