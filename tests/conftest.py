"""Models, voices and speech that many tests share."""

import importlib.util
import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from toy_speech import Reading, make_corpus

from vocoder.acoustic.model import AcousticModel
from vocoder.alignment.align import align
from vocoder.config import (
    AcousticConfig,
    ConditioningConfig,
    ContextConfig,
    FeatureConfig,
    GaussianConfig,
    GenerationConfig,
    LinearPredictionConfig,
    LogisticsConfig,
    ModelConfig,
    StackConfig,
)
from vocoder.corpus.manifest import Corpus
from vocoder.presets import preset
from vocoder.voices import voice
from vocoder.wavenet.model import WaveNet

# Two workers share the processors. Fixtures count too: sums round by the number of threads.
torch.set_num_threads(1)

# Triton reads this when it is first imported, by whichever test that may be.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

NATIVE_VARIABLE = "VOCODER_TEST_NATIVE"


def _take_native_library_from_elsewhere() -> None:
    """Test the build that the environment names (`make sanitize`) instead of the installed one."""
    path, name = os.environ.get(NATIVE_VARIABLE), "vocoder.native._native"
    if path and name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


_take_native_library_from_elsewhere()

ASSETS = Path(__file__).parent / "assets"
SPEAKERS = ("ann", "ben", "cat")
TOY_ALIGNER_STEPS = 160

TINY = preset("tiny").model_copy(update={"speakers": SPEAKERS})
ODD = ModelConfig(
    features=FeatureConfig(
        sample_rate_hz=8000, n_fft=256, win_length=200, hop_length=60, n_mels=20, f_max_hz=4000.0
    ),
    stack=StackConfig(
        cycles=2,
        layers_per_cycle=3,
        kernel_size=3,
        residual_channels=7,
        gate_channels=10,
        skip_channels=5,
    ),
    conditioning=ConditioningConfig(
        encoder_channels=9, encoder_layers=0, channels=6, upsample=(3, 2)
    ),
    speakers=SPEAKERS,
)


def context(
    pool: int, layers: int, kernel_size: int = 2, widths: tuple[int, int] = (8, 14)
) -> ContextConfig:
    """A narrow context stack; ``widths`` are of its residual path and its gate."""
    residual_channels, gate_channels = widths
    stack = StackConfig(
        cycles=1,
        layers_per_cycle=layers,
        kernel_size=kernel_size,
        residual_channels=residual_channels,
        gate_channels=gate_channels,
        skip_channels=6,
    )
    return ContextConfig(pool=pool, stack=stack, channels=5)


CONTEXTS = (context(40, layers=2), context(200, layers=2))
"""Two stacks of different rates."""

CONFIGS = {
    "mu_law": TINY,
    "mu_law_pre_emphasis": TINY.model_copy(update={"pre_emphasis": 0.85}),
    "logistics": TINY.model_copy(update={"distribution": LogisticsConfig(components=4)}),
    "linear_prediction": TINY.model_copy(
        update={
            "distribution": LogisticsConfig(),
            "linear_prediction": LinearPredictionConfig(order=16),
        }
    ),
    "hold_1": TINY.model_copy(
        update={
            "conditioning": ConditioningConfig(encoder_channels=8, channels=8, upsample=(10, 20))
        }
    ),
    "odd": ODD,
    "gaussian": TINY.model_copy(
        update={
            "distribution": GaussianConfig(),
            "linear_prediction": LinearPredictionConfig(order=16),
        }
    ),
    "contexts": TINY.model_copy(update={"contexts": CONTEXTS}),
    "contexts_hold_1": TINY.model_copy(
        update={
            "contexts": (context(5, layers=3), context(8, layers=2, kernel_size=3)),
            "distribution": GaussianConfig(),
            "conditioning": ConditioningConfig(encoder_channels=8, channels=8, upsample=(10, 20)),
            "pre_emphasis": 0.85,
        }
    ),
    "linguistic_tags": TINY.model_copy(
        update={
            "conditioning": ConditioningConfig(
                kind="linguistic", linguistic_channels=11, encoder_channels=8, channels=8
            ),
            "tags": ("bright", "soft"),
        }
    ),
    "linguistic_prediction": TINY.model_copy(
        update={
            "conditioning": ConditioningConfig(
                kind="linguistic", linguistic_channels=11, encoder_channels=8, channels=8
            ),
            "distribution": LogisticsConfig(components=4),
            "linear_prediction": LinearPredictionConfig(order=16),
        }
    ),
    "unconditional": TINY.model_copy(
        update={
            "conditioning": ConditioningConfig(kind="none", channels=4, upsample=(1,)),
            "contexts": (context(200, layers=2),),
            "distribution": LogisticsConfig(components=3),
        }
    ),
}

BANDED = {
    "bands_2_gaussian": TINY.model_copy(
        update={
            "bands": 2,
            "distribution": GaussianConfig(),
            "linear_prediction": LinearPredictionConfig(order=7),
            "tags": ("bright", "soft"),
        }
    ),
    "bands_4": TINY.model_copy(
        update={
            "bands": 4,
            "head_channels": 24,
            "distribution": LogisticsConfig(components=5),
            "linear_prediction": LinearPredictionConfig(order=16, lag_window_hz=4.0),
        }
    ),
    "bands_4_linguistic": TINY.model_copy(
        update={
            "bands": 4,
            "conditioning": ConditioningConfig(
                kind="linguistic", linguistic_channels=11, encoder_channels=8, channels=8
            ),
            "distribution": LogisticsConfig(components=3),
            "linear_prediction": LinearPredictionConfig(order=6),
        }
    ),
    "bands_8_contexts": TINY.model_copy(
        update={
            "bands": 8,
            "conditioning": ConditioningConfig(kind="none", channels=4, upsample=(5,)),
            "contexts": CONTEXTS,
            "distribution": LogisticsConfig(components=3),
        }
    ),
}
"""Models whose step generates a sample of each band. Their chunks are whole steps."""


TINY_ACOUSTIC = AcousticConfig(
    encoder_channels=12,
    encoder_layers=1,
    prosody_channels=8,
    prosody_layers=1,
    decoder_channels=16,
    decoder_layers=1,
    refiner_channels=8,
    refiner_layers=1,
    refiner_steps=2,
    kernel_size=3,
)


def random_acoustic_model(
    features: FeatureConfig = TINY.features, speakers: int = len(SPEAKERS), seed: int = 0
) -> AcousticModel:
    """A small acoustic model with random weights, whose phones last some 70 ms."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AcousticModel(TINY_ACOUSTIC, features, speakers).eval()
    with torch.no_grad():
        model.duration.output.bias.fill_(1.7)
    return model


def random_model(config: ModelConfig, seed: int = 0) -> WaveNet:
    """A model whose every layer matters: biases and the output layer are random too."""
    generator = torch.Generator().manual_seed(seed)
    model = WaveNet(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # A spectrum that is predicted stays that of speech.
            wide = "output" in name and "spectrum" not in name
            scale = 0.3 if wide else 0.5 / max(1, parameter[0].numel()) ** 0.5
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * (scale if parameter.ndim > 1 else 0.1))
    return model


def random_mel(config: ModelConfig, rows: int, frames: int, seed: int = 0) -> torch.Tensor:
    """Features (rows, channels, frames) that condition a model, of the range of log-mels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, config.feature_channels, frames, generator=generator) * 1.5 - 9


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> WaveNet:
    """Each kind of model in turn, small and with random weights."""
    return random_model(CONFIGS[request.param])


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one tiny voice of three speakers, untrained, that also reads text."""
    folder = tmp_path_factory.mktemp("voices")
    tiny = random_model(CONFIGS["linear_prediction"])
    manifest = voice.VoiceManifest(
        id="tiny",
        model=tiny.config,
        generation=GenerationConfig(correction_passes=1),
        weights={},
    )
    voice.save(folder / "tiny", tiny, manifest, random_acoustic_model())
    return folder


@dataclass(frozen=True)
class Toy:
    """A prepared and aligned corpus in a toy language, and the true ends of its phones."""

    corpus: Corpus
    truth: dict[tuple[str, str], Reading]


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """See :class:`Toy`; aligned by the real aligner, with fewer steps than usual.

    Made once for all test processes, because it takes a minute or two. Tests only read it.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    made = folder / "toy.pickle"
    with FileLock(folder / "toy.lock"):
        if not made.exists():
            (folder / "toy").mkdir()
            corpus, truth = make_corpus(folder / "toy")
            align(corpus.folder, steps=TOY_ALIGNER_STEPS)
            made.write_bytes(pickle.dumps((corpus, truth)))
        return Toy(*pickle.loads(made.read_bytes()))


@pytest.fixture(autouse=True)
def _one_thread_again() -> Iterator[None]:
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def vocoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny voice of the toy corpus's speakers that cannot read yet."""
    model = random_model(CONFIGS["mu_law"].model_copy(update={"speakers": ("ann", "ben")}))
    folder = tmp_path_factory.mktemp("vocoder") / "toy"
    voice.save(folder, model, voice.VoiceManifest(id="toy", model=model.config, weights={}))
    return folder
