"""How many threads a running batch has."""

from types import SimpleNamespace

import pytest
import torch

from vocoder.synthesis.streaming import StreamingSynthesizer


@pytest.mark.parametrize(
    ("device", "lanes", "threads"),
    [("cpu", None, 3), ("cpu", 1, 3), ("cuda", 2, 5), ("cuda", 1, 4)],
)
def test_threads_that_wait_for_a_gpu_come_on_top(
    device: str, lanes: int | None, threads: int
) -> None:
    live = StreamingSynthesizer(SimpleNamespace(), threads=3)  # type: ignore[arg-type]
    voice = SimpleNamespace(model=SimpleNamespace(device=torch.device(device)))
    engine = SimpleNamespace(lanes=lanes, batch_rows=16)
    assert live._threads_of(voice, engine) == threads  # type: ignore[arg-type]
    assert live._at_once(voice, engine) == 16 * (lanes or 3)  # type: ignore[arg-type]
    live.close()
