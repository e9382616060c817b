"""Text or features to audio, for the command line, the server and the evaluation alike."""

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from vocoder.acoustic.rendering import Rendering
from vocoder.audio.io import Samples
from vocoder.features.feature_file import Features, joined
from vocoder.generation import dispatch
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import Noise
from vocoder.scheduling.segment import PostFilter, Segment
from vocoder.synthesis.input_stream import InputStream
from vocoder.synthesis.request import SynthesisRequest, Vocoding
from vocoder.synthesis.segments import (
    feature_segments,
    post_filter,
    samples_before_audio,
    speech_segments,
)
from vocoder.synthesis.speech import (
    AudioChunk,
    PlannedSentence,
    Speech,
    incremental_renderings,
    planned,
    renderings,
)
from vocoder.text.frontend import TextFrontEnd
from vocoder.voices.voice import Voice
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction

CHUNK_FRAMES = 8
"""Frames of a chunk: between two chunks the caller may stop."""


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
        """Use ``engine`` by default; ``auto`` is the fastest that can run the voice.

        ``weights`` (number format) and ``threads`` default to the engine's own choice.
        """
        self.default_engine = engine
        self._weights, self._threads = weights, threads
        self._lock = threading.Lock()
        self._engines: dict[tuple[str, str], Engine] = {}
        self._resolved: dict[tuple[str, str], str] = {}
        self._front_end = TextFrontEnd()

    def engine(self, voice: Voice, name: str | None = None) -> Engine:
        """The engine that runs a voice, created when it is first needed.

        ``auto`` and the name of the engine it stands for share one engine.

        Raises:
            EngineError: it is unknown, or cannot run this voice here.
        """
        name = self.default_engine if name is None else name
        with self._lock:
            if (voice.digest, name) not in self._resolved:
                choice = dispatch.choose(voice.model.config, voice.model.device, name)
                self._resolved[voice.digest, name] = choice.engine.name
            key = self._key(voice, name)
            if key not in self._engines:
                self._engines[key] = dispatch.create(
                    voice.model,
                    name,
                    temperature=voice.manifest.generation.temperature,
                    weights=self._weights,
                    threads=self._threads,
                )
            return self._engines[key]

    def made_engine(self, voice: Voice, name: str | None = None) -> Engine | None:
        """As :meth:`engine`, without blocking: None if it has not been created yet."""
        return self._engines.get(self._key(voice, self.default_engine if name is None else name))

    def _key(self, voice: Voice, name: str) -> tuple[str, str]:
        return voice.digest, self._resolved.get((voice.digest, name), name)

    def forget(self, voice: Voice) -> None:
        """Drop a voice's engines."""
        with self._lock:
            for table in (self._engines, self._resolved):
                for key in [key for key in table if key[0] == voice.digest]:
                    del table[key]

    def engine_name(self, voice: Voice, name: str | None = None) -> str:
        """Name of the engine that runs a voice."""
        return self.engine(voice, name).name

    def warm_up(self, voice: Voice) -> None:
        """Load and run everything once, so that the first listener does not have to wait for it."""
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
        clarity: float = 0.0,
        engine: str | None = None,
    ) -> Iterator[Samples]:
        """Turn features into audio, in chunks as it is generated.

        Args:
            features: computed with the voice's settings.
            voice: that speaks.
            speaker: one of the voice's speakers; the first if None.
            seed: of the noise; the same seed gives the same audio.
            tags: of the voice.
            clarity: see :class:`~vocoder.synthesis.request.Vocoding`.
            engine: by name; the synthesizer's default if None.

        Returns:
            Chunks (T,) at the voice's rate, none empty, F * hop samples in all.

        Raises:
            UserError: before the first chunk, for features, a speaker, a tag, a seed, a clarity or
                an engine that does not fit the voice.
        """
        request = SynthesisRequest(voice, Vocoding(features, speaker, seed, tuple(tags), clarity))
        segments = self.segments(request)
        return (
            chunk.samples for chunk in self._generate(self.engine(voice, engine), segments, voice)
        )

    def speak(
        self, speech: Speech, *, voice: Voice, engine: str | None = None
    ) -> Iterator[AudioChunk]:
        """Turn a text into audio, sentence by sentence, in chunks as it is generated.

        Args:
            speech: the text, and how to speak it.
            voice: that speaks.
            engine: by name; the synthesizer's default if None.

        Raises:
            UserError: before the first chunk, for a text that cannot be spoken, a voice without an
                acoustic model, or a setting out of range.
        """
        segments = self.segments(SynthesisRequest(voice, speech))
        return self._generate(self.engine(voice, engine), segments, voice)

    def segments(self, request: SynthesisRequest) -> Iterator[Segment | None]:
        """The segments to generate for a request; None while its input stream is empty.

        Raises:
            UserError: at once, as :meth:`speak` and :meth:`vocode` do; for text or frames of the
                input stream, when they arrive.
        """
        voice, content = request.voice, request.content
        if isinstance(content, Vocoding):
            frames = cast(InputStream[Tensor] | None, request.input)
            return feature_segments(content, voice, frames)
        text = cast(InputStream[str] | None, request.input)
        rendered: Iterator[Rendering | None]
        if text is None:
            rendered = renderings(content, voice, self._front_end)
        else:
            rendered = incremental_renderings(content, text, voice, self._front_end)
        return speech_segments(content, rendered, voice)

    def features(self, speech: Speech, *, voice: Voice) -> Features:
        """The features that :meth:`speak` vocodes, of all sentences in one.

        Raises:
            UserError: as :meth:`speak` does.
        """
        config = voice.config.features
        return joined([r.features(config) for r in renderings(speech, voice, self._front_end)])

    def plan(self, speech: Speech, *, voice: Voice) -> Iterator[PlannedSentence]:
        """The sentences that :meth:`speak` would speak, without generating audio.

        Raises:
            UserError: as :meth:`speak` does.
        """
        return planned(renderings(speech, voice, self._front_end))

    def _generate(
        self, engine: Engine, segments: Iterator[Segment | None], voice: Voice
    ) -> Iterator[AudioChunk]:
        """Audio of segments, in a batch of one row."""
        chain: PostFilter | None = None
        for segment in segments:
            assert segment is not None, "complete input has nothing to wait for"
            if (start := segment.utterance_start) is not None:
                chain, timings = start.post_filter, start.timings
                state = engine.start(1)
                seeds = torch.tensor([start.seed], device=state.position.device)
                # As few samples at first as the first audio needs.
                count = samples_before_audio(voice)
            assert chain is not None, "an utterance without a start"
            chain.extend(segment.mel)
            left = segment.conditioning.blocks * voice.config.hold
            while left:
                count = min(count, left)
                noise = Noise(seeds, count)
                generated = engine.generate(state, segment.conditioning, noise)[0].cpu().numpy()
                left, count = left - count, CHUNK_FRAMES * voice.config.features.hop_length
                samples = chain.push(generated)
                if segment.last and not left:
                    samples = np.concatenate((samples, chain.flush()))
                if len(samples):
                    yield AudioChunk.of(samples, timings)
                    timings = None

    def vocode_many(
        self, requests: Sequence[Request], *, voice: Voice, engine: str | None = None
    ) -> list[Samples]:
        """Vocode several requests in one batch; each sounds exactly as :meth:`vocode` alone."""
        runner = self.engine(voice, engine)
        hop = voice.config.features.hop_length
        frames = [request.features.frames for request in requests]
        batch = _stack([condition(voice, request) for request in requests])
        state = runner.start(len(requests))
        device = state.position.device
        seeds = torch.tensor([request.seed for request in requests], device=device)
        audio = np.zeros((len(requests), max(frames) * hop), dtype=np.float32)
        for first in range(0, max(frames), CHUNK_FRAMES):
            # Finished rows leave the batch; one that ends within the chunk runs on into padding,
            # which is cut off below.
            rows = torch.tensor([row for row, count in enumerate(frames) if count > first])
            steps = min(CHUNK_FRAMES, max(frames) - first) * hop
            index = rows.to(device)
            noise = Noise(seeds[index], steps)
            chunk = runner.generate(state, _rows(batch, rows), noise, index)
            audio[rows.numpy(), first * hop : first * hop + steps] = chunk.cpu().numpy()
        finished = []
        for row, request in enumerate(requests):
            chain = post_filter(voice)
            chain.extend(request.features.mel.numpy())
            generated = audio[row, : request.features.frames * hop]
            finished.append(np.concatenate((chain.push(generated), chain.flush())))
        return finished


def condition(voice: Voice, request: Request) -> Conditioning:
    """Conditioning (one row) of a whole request, independent of any others.

    Raises:
        UserError: for features, a speaker or a seed that does not fit the voice.
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
    """Conditioning of all rows; the last block of a shorter row is repeated."""
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
