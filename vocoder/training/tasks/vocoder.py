"""The training task of the WaveNet: maximise the likelihood of segments of recordings."""

import logging
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from vocoder.audio.io import PCM_16_LEVELS
from vocoder.config import ModelConfig
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import ShardedCorpus
from vocoder.corpus.utterances import Split
from vocoder.errors import FeatureError, TrainingError
from vocoder.features.feature_file import check_fingerprint
from vocoder.text.linguistic import CHANNELS
from vocoder.training.config import VocoderTraining
from vocoder.training.data.segments import Batch, Segments
from vocoder.training.data.shard_order import training_order
from vocoder.training.log import RunLog
from vocoder.training.process import Process
from vocoder.training.tasks import samples
from vocoder.training.tasks.task import Loss
from vocoder.voices import voice
from vocoder.wavenet.distributions import bits
from vocoder.wavenet.model import Past, WaveNet

logger = logging.getLogger(__name__)


class Objective(nn.Module):
    """Mean negative log-likelihood of a batch in nats per sample, over the samples that count.

    If the model predicts the spectrum, the spectrum's error is added; the likelihood does not train
    that prediction.
    """

    def __init__(self, model: WaveNet, *, bf16: bool) -> None:
        super().__init__()
        self.model, self.bf16 = model, bf16

    def forward(self, batch: Batch, counts: Tensor | None = None) -> Loss:
        """The loss, and bits per sample; for a micro-batch, its share given the ``counts``."""
        conditioning = self.model.condition_margined(batch.features, batch.speaker)
        past = Past(batch.past, batch.known)
        nats = self.model.nll(batch.audio, conditioning, past, bf16=self.bf16)
        counts = counts_of(batch) if counts is None else counts
        total = (nats * batch.mask).sum() / counts[0].clamp_min(1.0)
        metrics = {"bits": total / math.log(2)}
        spectrum = self.model.conditioning.spectrum
        if spectrum is not None:
            predicted = spectrum(batch.features, batch.speaker)
            error = spectrum.error(predicted, batch.audio, batch.mask, self.model.config)
            metrics["spectrum"] = error / counts[0].clamp_min(1.0)
            total = total + metrics["spectrum"]
        return Loss(total, metrics)


def counts_of(batch: Batch) -> Tensor:
    """Number of samples that count (1,)."""
    return batch.mask.sum()[None]


class VocoderTask:
    """See :class:`vocoder.training.tasks.task.Task`."""

    def __init__(
        self, config: VocoderTraining, corpus: Corpus | ShardedCorpus, device: torch.device
    ) -> None:
        """Prepare a run; the model takes its speakers from the corpus.

        Raises:
            TrainingError: the corpus was prepared with different feature settings, or the initial
                voice does not fit.
            VoiceError: the initial voice is damaged.
        """
        model_config = _with_speakers(config.model, corpus)
        self.config = config.model_copy(update={"model": model_config})
        self.corpus, self.device = corpus, device
        self.model = WaveNet(model_config).to(device)
        self.model.stack.checkpointed = config.checkpoint_activations
        self.started_from = (
            self._start_from(Path(config.initial_voice)) if config.initial_voice else None
        )
        order = None
        if isinstance(corpus, ShardedCorpus):
            order = training_order(
                corpus,
                segment_frames=config.segment_frames,
                batch_size=config.batch_size,
                seed=config.seed,
                aligned=model_config.conditioning.kind == "linguistic",
            )
        self.segments = Segments(
            corpus, "train", model_config, config.segment_frames, config.seed, order
        )
        split: Split = "validation" if corpus.hours("validation") else "train"
        self.held_out = Segments(corpus, split, model_config, config.segment_frames, config.seed)
        if config.compile:
            self.model.stack.compile(dynamic=False)
        self.objective: nn.Module = Objective(self.model, bf16=config.precision == "bf16")

    def _start_from(self, folder: Path) -> voice.StartingPoint:
        """Load the weights of a voice to fine-tune."""
        start = voice.load(folder)
        own, given = self.model.state_dict(), start.model.state_dict()
        for name, tensor in own.items():
            if name not in given or given[name].shape != tensor.shape:
                found = tuple(given[name].shape) if name in given else "none"
                raise TrainingError(
                    f"{folder}: {name} has shape {found}, the model needs {tuple(tensor.shape)}"
                )
        self.model.load_state_dict(given)
        logger.info("starting from voice %s, %s", start.id, start.digest[:16])
        manifest = start.manifest
        return voice.StartingPoint(
            voice=start.id,
            weights=manifest.weights[voice.VOCODER_WEIGHTS],
            provenance=manifest.provenance,
        )

    def batch(self, step: int, rows: range) -> Batch:
        """Segments of recordings."""
        return self.segments.batch(step, rows)

    def counts(self, batch: Batch) -> Tensor:
        """See :func:`counts_of`."""
        return counts_of(batch)

    def seconds(self, batch: Batch) -> float:
        """Seconds of audio in a batch, including the warm-up."""
        return batch.mask.numel() / self.config.model.features.sample_rate_hz

    def new_model(self) -> WaveNet:
        """A new WaveNet of the same shape."""
        return WaveNet(self.config.model)

    def validate(self, model: nn.Module, process: Process) -> dict[str, float]:
        """Bits per sample on whole held-out clips, divided among the processes."""
        assert isinstance(model, WaveNet)
        nats, count = 0.0, 0.0
        utterances = self.held_out.utterances
        stride = max(1, len(utterances) // self.config.validation_clips)
        chosen = utterances[::stride][: self.config.validation_clips]
        for utterance in chosen[process.rank :: process.world_size]:
            pcm, features = self.held_out.read(utterance)
            given = features[None], self.held_out.global_conditioning(utterance)[None]
            conditioning = model.condition(*(part.to(self.device) for part in given))
            audio = (pcm.float() / PCM_16_LEVELS)[None].to(self.device)
            nats += float(model.nll(audio, conditioning).double().sum())
            count += audio.numel()
        sums = torch.tensor([nats, count], dtype=torch.float64, device=self.device)
        nats, count = process.sum(sums).tolist()
        return {"bits": bits(nats / count)}

    def export(self, folder: Path, model: nn.Module, step: int, log: RunLog) -> None:
        """Write the voice."""
        assert isinstance(model, WaveNet)
        described = self.config.voice.sources
        provenance = samples.provenance(self.config, self.corpus, step, log, described)
        provenance = provenance.model_copy(update={"started_from": self.started_from})
        samples.export(folder, model, self.config, provenance)

    def sample(self, model: nn.Module, step: int, log: RunLog) -> None:
        """Generate held-out clips from their mels."""
        assert isinstance(model, WaveNet)
        samples.generate(log, step, model, self.held_out, self.config.sample_clips)


def _with_speakers(config: ModelConfig, corpus: Corpus | ShardedCorpus) -> ModelConfig:
    try:
        check_fingerprint(corpus.features.fingerprint(), config.features)
    except FeatureError as error:
        raise TrainingError(f"{corpus.folder}: {error}") from None
    conditioning = config.conditioning
    if conditioning.kind == "linguistic":
        conditioning = conditioning.model_copy(update={"linguistic_channels": CHANNELS})
    return config.model_copy(
        update={"speakers": corpus.speakers, "tags": corpus.tags, "conditioning": conditioning}
    )
