"""Which engine a GPU gets, what is said where one cannot run, and what failures become."""

from types import SimpleNamespace

import pytest
import torch
from conftest import CONFIGS, random_model
from devices import DEVICE

from vocoder.config import StackConfig
from vocoder.errors import EngineError
from vocoder.generation import dispatch
from vocoder.generation.cuda import engine as triton_engine
from vocoder.generation.cuda import packing
from vocoder.generation.cuda.engine import TritonEngine
from vocoder.generation.cuda.errors import device_errors
from vocoder.generation.cuda.graph import GraphEngine
from vocoder.presets import PRESETS

GPU, CPU = torch.device("cuda"), torch.device("cpu")
WIDE = PRESETS["large"].model_copy(
    update={"stack": StackConfig(residual_channels=512, gate_channels=1024)}
)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of a device before anything runs there, as of an H200."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_gets_the_kernel(preset: str, gpu: None) -> None:
    choice = dispatch.choose(PRESETS[preset], GPU)
    assert choice.engine is TritonEngine
    assert choice.reason == "engine triton on cuda: a Triton kernel on NVIDIA H200"


def test_a_model_too_wide_for_it_gets_the_graph_and_the_log_says_why(gpu: None) -> None:
    choice = dispatch.choose(WIDE, GPU)
    assert choice.engine is GraphEngine
    assert (
        "triton passed over: too wide: a matrix of 512 x 512 (residual_channels, in bf16) has"
        in choice.reason
    )
    with pytest.raises(EngineError, match="512 KiB, more than 128 KiB of shared memory"):
        dispatch.choose(WIDE, GPU, "triton")


def test_an_old_gpu_gets_the_graph(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    choice = dispatch.choose(PRESETS["tiny"], GPU)
    assert choice.engine is GraphEngine
    assert "compute capability 7.5, 8.0 or later is required" in choice.reason


def test_without_triton_a_gpu_gets_the_graph(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_engine.importlib.util, "find_spec", lambda name: None)
    choice = dispatch.choose(PRESETS["tiny"], GPU)
    assert choice.engine is GraphEngine
    assert "Triton is not installed: install torch with CUDA, which includes it" in choice.reason


def test_the_cpu_never_gets_them_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    choice = dispatch.choose(PRESETS["tiny"], CPU)
    assert choice.engine.name == "cpu"
    assert "triton passed over: the model is on cpu" in choice.reason
    assert dispatch.choose(PRESETS["tiny"], CPU, "triton").engine is TritonEngine
    monkeypatch.delenv("TRITON_INTERPRET")
    for name in ("triton", "cuda-graph"):
        with pytest.raises(EngineError, match=f"{name} passed over: the model is on cpu"):
            dispatch.choose(PRESETS["tiny"], CPU, name)


@pytest.mark.parametrize(("multiprocessors", "rows"), [(132, 66 * 16), (1, 16)])
def test_two_launches_fill_the_device(
    monkeypatch: pytest.MonkeyPatch, multiprocessors: int, rows: int
) -> None:
    properties = SimpleNamespace(multi_processor_count=multiprocessors)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    engine = TritonEngine.__new__(TritonEngine)
    engine.model = SimpleNamespace(device=GPU)
    assert (engine.max_concurrency, engine.batch_rows) == (2, rows)
    engine.model.device = CPU
    assert (engine.max_concurrency, engine.batch_rows) == (1, 16)


def test_an_unknown_format_is_refused() -> None:
    model = random_model(CONFIGS["mu_law"]).to(DEVICE)
    with pytest.raises(EngineError, match="'int8' is unknown: choose one of bf16, fp16, fp32"):
        TritonEngine(model, weights="int8")
    with pytest.raises(EngineError, match="keeps its weights in fp32, not bf16"):
        GraphEngine(model, weights="bf16")


def test_a_model_too_wide_in_a_format_is_refused() -> None:
    stack = StackConfig(
        cycles=1, layers_per_cycle=1, residual_channels=16, gate_channels=512, skip_channels=256
    )
    config = CONFIGS["mu_law"].model_copy(update={"stack": stack})
    assert packing.too_wide(config, "bf16") is None
    with pytest.raises(EngineError, match=r"256 x 256 \(skip_channels, in fp32\) has 256 KiB"):
        TritonEngine(random_model(config).to(DEVICE), weights="fp32")


def test_a_context_stack_too_wide_for_it_is_named(gpu: None) -> None:
    context = PRESETS["standard-context"].contexts[1]
    for stack, matrix in (
        (StackConfig(residual_channels=512, gate_channels=512), r"256 x 512 \(contexts\[1\].resi"),
        (StackConfig(skip_channels=2048), r"64 x 2048 \(contexts\[1\].skip"),
        (StackConfig(skip_channels=512), r"512 x 256 \(contexts\[1\].channels"),
    ):
        wide = context.model_copy(update={"stack": stack, "channels": 256})
        contexts = (PRESETS["standard-context"].contexts[0], wide)
        config = PRESETS["standard-context"].model_copy(update={"contexts": contexts})
        assert dispatch.choose(config, GPU).engine is GraphEngine
        with pytest.raises(EngineError, match=matrix):
            dispatch.choose(config, GPU, "triton")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            torch.cuda.OutOfMemoryError("out"),
            "cuda has too little memory for 8 samples: use fewer",
        ),
        (
            torch.AcceleratorError("CUDA error: unspecified\nmore"),
            r"cuda failed at 8 samples \(CUDA error: unspecified\)",
        ),
        (
            type("OutOfResources", (Exception,), {})("shared memory"),
            "too wide for cuda: shared memory",
        ),
    ],
)
def test_what_fails_on_the_device_is_one_line(failure: Exception, said: str) -> None:
    with pytest.raises(EngineError, match=said) as caught, device_errors(GPU, "8 samples"):
        raise failure
    assert "\n" not in str(caught.value)


def test_other_mistakes_are_not_hidden() -> None:
    with pytest.raises(ValueError, match="blocks"), device_errors(GPU, "8 samples"):
        raise ValueError("blocks")
