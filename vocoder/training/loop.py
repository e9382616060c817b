"""The training loop, from a configuration to a voice."""

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vocoder import files, voice
from vocoder.audio import PCM_16_LEVELS
from vocoder.config import ModelConfig
from vocoder.corpus.manifest import Corpus
from vocoder.errors import FeatureError, TrainingError
from vocoder.features import check_fingerprint
from vocoder.training import checkpoint, samples
from vocoder.training.config import TrainingConfig
from vocoder.training.dataset import Batch, Segments
from vocoder.training.log import RunLog
from vocoder.training.optimisation import MovingAverage, clip_gradients
from vocoder.wavenet.distributions import bits
from vocoder.wavenet.model import WaveNet

logger = logging.getLogger(__name__)


class Objective(nn.Module):
    """The mean negative log-likelihood of a batch in nats a sample, over the samples that count."""

    def __init__(self, model: WaveNet, *, bf16: bool) -> None:
        super().__init__()
        self.model, self.bf16 = model, bf16

    def forward(self, batch: Batch) -> Tensor:
        """The loss, a scalar."""
        conditioning = self.model.condition_margined(batch.mel, batch.speaker)
        nats = self.model.nll(batch.audio, conditioning, bf16=self.bf16)
        return (nats * batch.mask).sum() / batch.mask.sum().clamp_min(1.0)


class Process(NamedTuple):
    """This process among those that torchrun started."""

    rank: int
    processes: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0


@contextlib.contextmanager
def _process() -> Iterator[Process]:
    """Join torchrun's processes, if any."""
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if count == 1:
        yield Process(0, 1, device)
        return
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Process(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()


def model_config(config: TrainingConfig, corpus: Corpus) -> ModelConfig:
    """The configured model with the corpus's speakers.

    Raises:
        TrainingError: the corpus was prepared with other feature settings.
    """
    try:
        check_fingerprint(corpus.features.fingerprint(), config.model.features)
    except FeatureError as error:
        raise TrainingError(f"{corpus.folder}: {error}") from None
    return config.model.model_copy(update={"speakers": corpus.speakers})


def train(config: TrainingConfig, *, resume: bool = False) -> Path:
    """Train a model and write its voice.

    Args:
        config: the run.
        resume: go on from the checkpoint in the output folder, as if never stopped.

    Returns:
        The folder of the voice.

    Raises:
        TrainingError: corpus, checkpoint or output folder do not fit, or the loss is not finite.
    """
    corpus = Corpus.load(Path(config.corpus))
    config = config.model_copy(update={"model": model_config(config, corpus)})
    with _process() as process:
        return _Run(config, corpus, process).run(resume=resume)


class _Run:
    def __init__(self, config: TrainingConfig, corpus: Corpus, process: Process) -> None:
        self.config, self.corpus, self.process = config, corpus, process
        self.folder = Path(config.output)
        torch.manual_seed(config.seed)
        self.model = WaveNet(config.model).to(process.device)
        if config.initial_voice:
            self._start_from(Path(config.initial_voice))
        self.average = MovingAverage(self.model, config.ema_decay)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)
        self.segments = Segments(corpus, "train", config.model, config.segment_frames, config.seed)
        if config.compile:
            self.model.stack.compile(dynamic=False)
        objective = Objective(self.model, bf16=config.precision == "bf16")
        self.objective: nn.Module = objective
        if process.processes > 1:
            self.objective = nn.parallel.DistributedDataParallel(objective)

    def _start_from(self, folder: Path) -> None:
        """Take a voice's weights: fine-tuning.

        Raises:
            VoiceError: the folder is no voice, or damaged.
            TrainingError: its weights do not fit the model.
        """
        start = voice.load(folder)
        own, given = self.model.state_dict(), start.model.state_dict()
        for name, tensor in own.items():
            if name not in given or given[name].shape != tensor.shape:
                found = tuple(given[name].shape) if name in given else "none"
                raise TrainingError(
                    f"{folder}: {name} has shape {found}, the model needs {tuple(tensor.shape)}"
                )
        self.model.load_state_dict(given)
        logger.info("starting from voice %s, weights %s", start.id, start.digest[:16])

    def run(self, *, resume: bool) -> Path:
        if not resume and (self.folder / checkpoint.NAME).exists():
            raise TrainingError(f"{self.folder}: holds a checkpoint; add --resume to go on from it")
        start = 0
        if resume:
            start, changes = checkpoint.restore(
                self.folder, self.config, self.model, self.average, self.optimiser
            )
            for change in changes:
                logger.info("resumed with a changed setting: %s", change)
        with contextlib.ExitStack() as stack:
            self.log = stack.enter_context(RunLog(self.folder, self.process.leads))
            self.log.start(self.config, start)
            for step in range(start, self.config.steps):
                self._step(step)
                self._after(step + 1)
            if start == self.config.steps:
                self._after(start)  # nothing to train: write the voice with the settings of now
        return self.folder / "voice"

    def _step(self, step: int) -> None:
        began = time.perf_counter()
        batch = self.segments.batch(step, self.config.batch_size, self.process.rank)
        batch = Batch(*(part.to(self.process.device, non_blocking=True) for part in batch))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.rate(step)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.objective(batch)
        loss.backward()
        norm = clip_gradients(self.model, self.config.gradient_clip)
        self._guard(step, float(loss.detach()), float(norm))
        self.optimiser.step()
        self.average.update(self.model, step)
        audio_s = batch.mask.numel() / self.config.model.features.sample_rate_hz
        self.log.step(
            step,
            bits=bits(float(loss.detach())),
            gradient_norm=float(norm),
            learning_rate=self.config.rate(step),
            audio_rate=audio_s * self.process.processes / (time.perf_counter() - began),
        )

    def _guard(self, step: int, loss: float, norm: float) -> None:
        """Stop before a loss or gradient that is not finite reaches the weights."""
        if torch.isfinite(torch.tensor([loss, norm])).all():
            return
        report = {
            "step": step,
            "loss": str(loss),
            "gradient_norm": str(norm),
            "learning_rate": self.config.rate(step),
            "gradients_not_finite": [
                name
                for name, p in self.model.named_parameters()
                if p.grad is not None and not p.grad.isfinite().all()
            ],
            "largest_weight": max(float(p.detach().abs().max()) for p in self.model.parameters()),
        }
        path = self.folder / "not-finite.json"
        if self.process.leads:
            files.write_text(path, json.dumps(report, indent=2))
        raise TrainingError(
            f"step {step}: loss {loss}, gradient norm {norm}; weights untouched, see {path}; "
            "resume from the last checkpoint with a lower learning_rate"
        )

    def _after(self, done: int) -> None:
        last = done == self.config.steps
        if not self.process.leads:
            return
        if done % self.config.validate_every == 0 or last:
            self.log.validation(done, self._validate())
        if done % self.config.checkpoint_every == 0 or last:
            checkpoint.save(
                self.folder, done, self.config, self.model, self.average, self.optimiser
            )
            samples.export(
                self.folder / "voice", self.averaged(), self.config, self.corpus, done, self.log
            )
        if self.config.sample_every and (done % self.config.sample_every == 0 or last):
            samples.generate(self.log, done, self.averaged(), self.corpus, self.config.sample_clips)

    def averaged(self) -> WaveNet:
        """A copy of the model with the averaged weights, in evaluation mode."""
        model = WaveNet(self.config.model).to(self.process.device)
        self.average.copy_to(model)
        return model.eval()

    @torch.inference_mode()
    def _validate(self) -> float:
        """Bits a sample of whole held-out clips under the averaged weights."""
        model, nats, count = self.averaged(), 0.0, 0
        utterances = self.corpus.split("validation") or self.corpus.split("train")
        stride = max(1, len(utterances) // self.config.validation_clips)
        for utterance in utterances[::stride][: self.config.validation_clips]:
            pcm, mel = self.corpus.read(utterance)
            speaker = torch.zeros(1, len(self.config.model.speakers))
            speaker[0, self.config.model.speakers.index(utterance.speaker)] = 1.0
            device = self.process.device
            conditioning = model.condition(mel[None].to(device), speaker.to(device))
            audio = (pcm.float() / PCM_16_LEVELS)[None].to(device)
            nats += float(model.nll(audio, conditioning).double().sum())
            count += audio.numel()
        return bits(nats / count)
