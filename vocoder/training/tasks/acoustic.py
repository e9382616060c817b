"""The training task of the acoustic model, on an aligned corpus."""

import logging
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import vocoder
from vocoder.acoustic.model import AcousticModel
from vocoder.acoustic.rendering import render
from vocoder.audio import io as audio
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import ShardedCorpus, aligned_utterances
from vocoder.errors import FeatureError, TrainingError
from vocoder.features.feature_file import check_fingerprint
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.training.config import AcousticTraining
from vocoder.training.data.acoustic_batch import AcousticBatch, collate, counts_of, read_row
from vocoder.training.data.sentences import FolderSentences, Sentences, ShardedSentences
from vocoder.training.log import RunLog
from vocoder.training.process import Process
from vocoder.training.tasks.task import Loss
from vocoder.voices import voice
from vocoder.voices.voice import AcousticProvenance

logger = logging.getLogger(__name__)

VOICING_WEIGHT, PROSODY_WEIGHT, DURATION_WEIGHT, FLOW_WEIGHT = 0.2, 0.5, 0.5, 0.25


class Objective(nn.Module):
    """Mean absolute errors of durations, prosody and log-mel, cross-entropy of the voicing, and
    squared error of the refiner."""

    def __init__(self, model: AcousticModel, *, bf16: bool) -> None:
        super().__init__()
        self.model, self.bf16 = model, bf16

    def forward(self, batch: AcousticBatch, counts: Tensor | None = None) -> Loss:
        """The loss; for a micro-batch, its share given the ``counts``.

        The decoder sees the recording's durations and prosody (teacher forcing).
        """
        with torch.autocast(batch.mel.device.type, torch.bfloat16, enabled=self.bf16):
            return self._loss(batch, counts_of(batch) if counts is None else counts)

    def _loss(self, batch: AcousticBatch, counts: Tensor) -> Loss:
        phones, prosody, mask = batch.phones, batch.prosody, batch.mask
        phone_count, frame_count, voiced_count = counts.clamp_min(1.0)
        encoded = self.model.encode(phones)
        log_durations = self.model.log_durations(encoded, phones)
        wanted = batch.durations.clamp_min(1).log()
        duration = _mean((log_durations - wanted).abs(), batch.phone_mask, phone_count)
        found, logit = self.model.predict_prosody(encoded, phones, batch.durations, mask)
        spread = self.model.f0_spread[batch.speaker][:, None]
        errors = (found.log_f0 - prosody.log_f0).abs() / spread
        f0 = _mean(errors, mask * prosody.voiced, voiced_count)
        voicing = F.binary_cross_entropy_with_logits(logit, prosody.voiced, reduction="none")
        energy = _mean((found.energy - prosody.energy).abs(), mask, frame_count)
        mel, condition = self.model.decode(encoded, phones, batch.durations, prosody, mask)
        mel_error = _mean((mel - batch.mel).abs().mean(1), mask, frame_count)
        residual = (batch.mel - mel).detach()
        flow = self.model.refiner.loss(residual, batch.noise, batch.time, condition.detach(), mask)
        flow = _mean(flow, mask, frame_count)
        voicing = _mean(voicing, mask, frame_count)
        total = (
            mel_error
            + FLOW_WEIGHT * flow
            + DURATION_WEIGHT * duration
            + PROSODY_WEIGHT * (f0 + energy)
            + VOICING_WEIGHT * voicing
        )
        return Loss(
            total,
            {
                "mel": mel_error,
                "flow": flow,
                "duration": duration,
                "f0": f0,
                "energy": energy,
                "voicing": voicing,
            },
        )


def _mean(values: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    return (values * mask).sum() / count


class AcousticTask:
    """See :class:`vocoder.training.tasks.task.Task`."""

    def __init__(
        self, config: AcousticTraining, corpus: Corpus | ShardedCorpus, device: torch.device
    ) -> None:
        """Prepare a run.

        Raises:
            TrainingError: the corpus's feature settings or speakers do not fit the voice.
            CorpusError: the corpus is not aligned, or was prepared without F0.
            VoiceError: the voice is damaged.
        """
        self.config, self.corpus, self.device = config, corpus, device
        self.voice = voice.load(Path(config.vocoder))
        self.speakers = self.voice.speakers
        try:
            check_fingerprint(corpus.features.fingerprint(), self.voice.config.features)
        except FeatureError as error:
            raise TrainingError(f"{corpus.folder}: {error}") from None
        if unknown := sorted(set(corpus.speakers) - set(self.speakers)):
            raise TrainingError(
                f"{corpus.folder}: the voice has no speaker {unknown[0]}, only "
                f"{', '.join(self.speakers)}"
            )
        self.sentences: Sentences = (
            ShardedSentences(corpus, config, self.speakers)
            if isinstance(corpus, ShardedCorpus)
            else FolderSentences(corpus, config, self.speakers)
        )
        self.held_out = aligned_utterances(corpus, "validation") or aligned_utterances(
            corpus, "train"
        )
        chosen = self.held_out[: config.validation_clips]
        self.validation = [read_row(corpus, *pair, self.speakers) for pair in chosen]
        self.model = self.new_model().to(device)
        if missing := self.model.learn_symbols(self.sentences.statistics.symbol_numbers):
            logger.warning(
                "the corpus has no examples of %s: these will sound wrong", " ".join(missing)
            )
        self.objective: nn.Module = Objective(self.model, bf16=config.precision == "bf16")

    def batch(self, step: int, rows: range) -> AcousticBatch:
        """Utterances of similar length."""
        generators = [np.random.default_rng((self.config.seed, step, row)) for row in rows]
        return collate(self.sentences.rows(step, rows), generators)

    def counts(self, batch: AcousticBatch) -> Tensor:
        """See :func:`counts_of`."""
        return counts_of(batch)

    def seconds(self, batch: AcousticBatch) -> float:
        """Seconds of audio in a batch."""
        return float(batch.mask.sum()) / self.corpus.features.frame_rate_hz

    def new_model(self) -> AcousticModel:
        """A new model of the same shape and F0 ranges."""
        model = AcousticModel(self.config.model, self.corpus.features, len(self.speakers))
        statistics = self.sentences.statistics
        ranges = [statistics.f0_range(speaker) for speaker in self.speakers]
        model.f0_mean.copy_(torch.tensor([f0.mean for f0 in ranges]))
        model.f0_spread.copy_(torch.tensor([f0.spread for f0 in ranges]))
        model.learn_symbols(statistics.symbol_numbers)
        return model

    def validate(self, model: nn.Module, process: Process) -> dict[str, float]:
        """Losses on held-out utterances, and the duration error in ms per phone."""
        assert isinstance(model, AcousticModel)
        objective = Objective(model, bf16=False)
        rows = self.validation
        batch = collate(rows, [np.random.default_rng((0, row)) for row in range(len(rows))])
        batch = AcousticBatch(*(part.to(self.device) for part in batch))
        metrics = {name: float(part) for name, part in objective(batch).parts.items()}
        predicted = model.log_durations(model.encode(batch.phones), batch.phones).exp()
        count = counts_of(batch)[0].clamp_min(1.0)
        error = _mean((predicted - batch.durations).abs(), batch.phone_mask, count)
        return metrics | {"duration_ms": 1000 * float(error) / self.corpus.features.frame_rate_hz}

    def export(self, folder: Path, model: nn.Module, step: int, log: RunLog) -> None:
        """Write the voice with this acoustic model."""
        assert isinstance(model, AcousticModel)
        provenance = AcousticProvenance(
            steps=step,
            code_version=vocoder.__version__,
            training=self.config.recorded(),
            metrics={key: round(value, 5) for key, value in log.latest.items()},
        )
        manifest = self.voice.manifest.model_copy(
            update={"id": self.config.name, "acoustic_provenance": provenance}
        )
        voice.save(folder, self.voice.model, manifest, model)

    def sample(self, model: nn.Module, step: int, log: RunLog) -> None:
        """Synthesise held-out sentences from their phones."""
        assert isinstance(model, AcousticModel)
        chosen = self.held_out[:: max(1, len(self.held_out) // self.config.sample_clips)]
        rate = self.corpus.features.sample_rate_hz
        synthesizer = Synthesizer()
        for utterance, found in chosen[: self.config.sample_clips]:
            speaker = self.speakers.index(utterance.speaker)
            rendering = render(model.cpu(), found.sentence, speaker)
            features = rendering.features(self.corpus.features)
            chunks = synthesizer.vocode(features, voice=self.voice, speaker=utterance.speaker)
            samples = np.concatenate(list(chunks))
            name = f"{utterance.speaker}-{utterance.id}"
            audio.write(log.folder / "samples" / f"step-{step:07d}" / f"{name}.wav", samples, rate)
            log.board.add_audio(name, torch.from_numpy(samples), step, sample_rate=rate)
