"""Number of threads and rows of a running batch."""

from types import SimpleNamespace

import pytest
import torch

from vocoder.synthesis.streaming import StreamingSynthesizer


@pytest.mark.parametrize(
    ("device", "concurrency", "threads"),
    [("cpu", None, 3), ("cpu", 1, 3), ("cuda", 2, 5), ("cuda", 1, 4)],
)
def test_threads_that_wait_for_a_gpu_come_on_top(
    device: str, concurrency: int | None, threads: int
) -> None:
    streaming = StreamingSynthesizer(SimpleNamespace(), threads=3)  # type: ignore[arg-type]
    voice = SimpleNamespace(model=SimpleNamespace(device=torch.device(device)))
    engine = SimpleNamespace(max_concurrency=concurrency, batch_rows=16)
    assert streaming._threads_of(voice, engine) == threads  # type: ignore[arg-type]
    assert streaming._active_rows(voice, engine) == 16 * (concurrency or 3)  # type: ignore[arg-type]
    streaming.close()
