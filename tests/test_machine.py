"""The choice of a device, and the machine's description."""

import pytest
import torch

from vocoder import machine
from vocoder.errors import EngineError


def test_the_cpu_is_always_available() -> None:
    assert machine.resolve("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("capability", "chosen"), [(None, "cpu"), ((7, 5), "cpu"), ((8, 0), "cuda"), ((9, 0), "cuda")]
)
def test_auto_chooses_a_gpu_that_is_recent_enough(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] | None, chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert machine.resolve().type == chosen


@pytest.mark.parametrize("name", ["gpu", "mps", "", "cuda:x", "x" * 200])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(EngineError, match="choose auto, cpu or cuda"):
        machine.resolve(name)


@pytest.mark.parametrize(("count", "match"), [(0, "no NVIDIA GPU"), (2, "has 2 GPUs")])
def test_a_missing_gpu_is_refused(monkeypatch: pytest.MonkeyPatch, count: int, match: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(EngineError, match=match):
        machine.resolve("cuda:2")
