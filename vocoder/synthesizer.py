"""Text or features to audio: what the command line, the server and the evaluation all call."""

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vocoder.acoustic.synthesis import Rendering
from vocoder.audio import Samples
from vocoder.errors import FeatureError, UserError
from vocoder.features import Features, check_fingerprint, validate_mel
from vocoder.generation import dispatch
from vocoder.generation.correction import CorrectionChain
from vocoder.generation.dispatch import Engine
from vocoder.generation.noise import MAX_SEED, uniforms
from vocoder.speech import (
    PlannedSentence,
    Speech,
    Spoken,
    next_seed,
    planned,
    renderings,
)
from vocoder.text.frontend import TextFrontEnd
from vocoder.voice import Voice, VoiceRegistry
from vocoder.wavenet.conditioning import Conditioning
from vocoder.wavenet.linear_prediction import LinearPrediction

CHUNK_FRAMES = 8
"""Frames that are generated between two looks at whether the listener is still there."""

FADE_S = 0.005
"""Length of the rise and the fall at a sentence's ends, in seconds."""

STRETCHES = (16, 48, 128)
"""Frames that are conditioned before the rest: the first audio needs about so many."""


class Request(NamedTuple):
    """One utterance to vocode in a batch."""

    features: Features
    speaker: str | None = None
    seed: int = 0


class Synthesizer:
    """Speaks with the voices of a registry. Safe to use from several threads."""

    def __init__(
        self,
        registry: VoiceRegistry,
        engine: str = dispatch.AUTO,
        *,
        weights: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Speak with ``engine``, or the fastest that can run a voice where it is ``auto``.

        ``weights`` (number format) and ``threads`` are the engine's own choice where None.
        """
        self.registry = registry
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
        name = self.default_engine if name is None else name
        with self._lock:
            temperature = voice.manifest.generation.temperature
            key = (voice.digest, name, temperature)
            if key not in self._engines:
                self._engines[key] = dispatch.create(
                    voice.model,
                    name,
                    temperature=temperature,
                    weights=self._weights,
                    threads=self._threads,
                )
            return self._engines[key]

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
        engine: str | None = None,
    ) -> Iterator[Samples]:
        """Audio of features, in chunks as it is generated.

        Args:
            features: made with the voice's settings.
            voice: who speaks.
            speaker: one of the voice's; its first where None.
            seed: of the noise; the same seed gives the same audio.
            engine: by name; the synthesizer's own where None.

        Returns:
            Chunks (T,) at the voice's rate, none empty, F * hop samples in all.

        Raises:
            UserError: before the first chunk, for features, speaker, seed or engine that don't fit.
        """
        stretches = condition_stretches(voice, Request(features, speaker, seed))
        return self._chunks(self.engine(voice, engine), stretches, features, voice, seed)

    def speak(self, speech: Speech, *, voice: Voice, engine: str | None = None) -> Iterator[Spoken]:
        """Audio of a text, in chunks as it is generated, sentence by sentence.

        Args:
            speech: what to say and how.
            voice: who speaks.
            engine: by name; the synthesizer's own where None.

        Raises:
            UserError: before the first chunk, for a text, voice or setting that cannot be.
        """
        _check_seed(speech.seed)
        self.engine(voice, engine)
        return self._spoken(speech, renderings(speech, voice, self._front_end), voice, engine)

    def _spoken(
        self, speech: Speech, sentences: Iterator[Rendering], voice: Voice, engine: str | None
    ) -> Iterator[Spoken]:
        features_config, count, seed = voice.config.features, 0, speech.seed
        for rendering in sentences:
            text = rendering.sentence.text
            words = rendering.timings(count / features_config.sample_rate_hz)
            features = rendering.features(features_config)
            first, last = count, count + features.frames * features_config.hop_length
            for chunk in self.vocode(
                features, voice=voice, speaker=speech.speaker, seed=seed, engine=engine
            ):
                faded = _fade(chunk, count - first, last - count, features_config.sample_rate_hz)
                yield Spoken(faded, text, words)
                count, text, words = count + len(chunk), "", ()
            seed = next_seed(seed)

    def plan(self, speech: Speech, *, voice: Voice) -> Iterator[PlannedSentence]:
        """What :meth:`speak` would say, without any audio.

        Raises:
            UserError: as :meth:`speak` does.
        """
        return planned(renderings(speech, voice, self._front_end))

    def _chunks(
        self,
        engine: Engine,
        stretches: Iterator[Conditioning],
        features: Features,
        voice: Voice,
        seed: int,
    ) -> Iterator[Samples]:
        state, seeds = engine.start(1), torch.tensor([seed])
        settings, features_config = voice.manifest.generation, voice.config.features
        correction = _correction(voice, features)
        # Just as much at first as the first audio needs.
        count = CorrectionChain.samples_before_audio(features_config, settings.correction_passes)
        for conditioning in stretches:
            left = conditioning.blocks * voice.config.hold
            while left:
                count = min(count, left)
                noise = uniforms(seeds, state.position.cpu(), count).to(state.position.device)
                bare = engine.generate(state, conditioning, noise)[0].cpu().numpy()
                left, count = left - count, CHUNK_FRAMES * features_config.hop_length
                if len(chunk := correction.push(bare)):
                    yield chunk
        if len(chunk := correction.flush()):
            yield chunk

    def vocode_many(
        self, requests: Sequence[Request], *, voice: Voice, engine: str | None = None
    ) -> list[Samples]:
        """Audio of several requests in one batch; each as :meth:`vocode` gives it alone."""
        runner = self.engine(voice, engine)
        hop = voice.config.features.hop_length
        frames = [request.features.frames for request in requests]
        batch = _stack([condition(voice, request) for request in requests])
        seeds = torch.tensor([request.seed for request in requests])
        state = runner.start(len(requests))
        audio = np.zeros((len(requests), max(frames) * hop), dtype=np.float32)
        for first in range(0, max(frames), CHUNK_FRAMES):
            # Rows that are done leave the batch; one that ends within the chunk overruns into
            # padding, which is cut off below.
            rows = torch.tensor([row for row, count in enumerate(frames) if count > first])
            steps = min(CHUNK_FRAMES, max(frames) - first) * hop
            noise = uniforms(seeds[rows], torch.full((len(rows),), first * hop), steps)
            device = state.position.device
            chunk = runner.generate(state, _rows(batch, rows), noise.to(device), rows.to(device))
            audio[rows.numpy(), first * hop : first * hop + steps] = chunk.cpu().numpy()
        finished = []
        for row, request in enumerate(requests):
            correction = _correction(voice, request.features)
            bare = audio[row, : request.features.frames * hop]
            finished.append(np.concatenate((correction.push(bare), correction.flush())))
        return finished


def _fade(chunk: Samples, before: int, left: int, rate_hz: int) -> Samples:
    """A chunk of a sentence that rises from silence at its start and falls to it at its end.

    Args:
        chunk: samples (T,).
        before: samples of the sentence before the chunk.
        left: samples of the sentence from the chunk on.
        rate_hz: samples a second.
    """
    length = round(FADE_S * rate_hz)
    at = np.arange(len(chunk))
    distance = np.minimum(before + at, left - 1 - at) + 0.5
    gain = np.sin(np.pi / 2 * np.minimum(1.0, distance / length)) ** 2
    return (chunk * gain).astype(np.float32)


def _check_seed(seed: int) -> None:
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"seed {seed} is not in 0 to {MAX_SEED}", param="seed")


def _correction(voice: Voice, features: Features) -> CorrectionChain:
    settings = voice.manifest.generation
    return CorrectionChain(
        features.mel.numpy(),
        voice.config.features,
        settings.correction_passes,
        settings.correction_limit_db,
    )


def condition_stretches(voice: Voice, request: Request) -> Iterator[Conditioning]:
    """Conditioning (one row) of a request, stretch by stretch: see ``STRETCHES``.

    Computed alone and in the same stretches always, so that it never depends on others.

    Raises:
        UserError: at once, for features of other settings or with unusable values, an unknown
            speaker, a bad seed.
    """
    check_fingerprint(request.features.config.fingerprint(), voice.config.features)
    features = _local(voice, request.features)
    _check_seed(request.seed)
    speaker = torch.zeros(1, len(voice.speakers))
    speaker[0, voice.speaker_index(request.speaker)] = 1.0
    device = voice.model.device
    features = features.unsqueeze(0).to(device)
    return _inferred(voice.model.condition_stretches(features, speaker.to(device), STRETCHES))


def _local(voice: Voice, features: Features) -> Tensor:
    """The features (C, F) that condition a voice."""
    mel = validate_mel(features.mel, voice.config.features)
    if voice.config.conditioning.kind == "mel":
        return mel
    if features.linguistic is None:
        raise FeatureError(
            f"voice {voice.id} is conditioned on linguistic features, not on mel: give it text",
            param="mel",
        )
    return features.linguistic


def _inferred(stretches: Iterator[Conditioning]) -> Iterator[Conditioning]:
    """The same without gradients, which a generator must switch off for each step by itself."""
    while True:
        with torch.inference_mode():
            stretch = next(stretches, None)
        if stretch is None:
            return
        yield stretch


def condition(voice: Voice, request: Request) -> Conditioning:
    """The stretches of :func:`condition_stretches` in one."""
    parts = list(condition_stretches(voice, request))
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
