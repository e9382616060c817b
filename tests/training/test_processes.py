"""Several processes or micro-batches learn the same as one process from the whole batch."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from buzzing import make_corpus, run_config
from conftest import CONFIGS
from safetensors.torch import load_file
from torch import Tensor

from vocoder.errors import TrainingError
from vocoder.training import checkpoint, loop
from vocoder.training.config import VocoderTraining
from vocoder.training.process import Process

STEPS = 20
TOLERANCE = 1e-5
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("speech"))


def settings(corpus: Path, output: Path, **changes: object) -> VocoderTraining:
    """Short files, so that the number of samples that count differs between rows and processes."""
    given = {"steps": STEPS, "batch_size": 4, "segment_frames": 40, "log_every": 1} | changes
    return run_config(corpus, output, checkpoint_every=10, validate_every=10, **given)


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in one process."""
    folder = tmp_path_factory.mktemp("whole")
    loop.train(settings(corpus, folder))
    return folder


def torchrun(config: VocoderTraining, folder: Path, *, resume: bool) -> subprocess.Popen[bytes]:
    """Train in two processes with at most one restart."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{k} = {json.dumps(v)}"
        for k, v in config.model_dump(mode="json").items()
        if k
        in (
            "name",
            "corpus",
            "output",
            "steps",
            "batch_size",
            "segment_frames",
            "warm_up_steps",
            "log_every",
            "checkpoint_every",
            "validate_every",
            "validation_clips",
            "accumulate",
        )
    ]
    model = CONFIGS["linear_prediction"].model_dump(mode="json")
    tables = ["[model]", 'speakers = ["default"]'] + [
        f"{key} = {toml(model[key])}"
        for key in ("features", "stack", "distribution", "conditioning", "linear_prediction")
    ]
    path = folder / "run.toml"
    path.write_text("\n".join(lines + tables) + "\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--standalone", "--max-restarts=1", "--monitor-interval=0.1"]
    command += ["-m", "vocoder", "train", str(path), *(["--resume"] if resume else [])]
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with open(folder / "output.txt", "wb") as output:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            cwd=Path(__file__).parents[2],
        )


def toml(value: object) -> str:
    """An inline TOML value without the keys that are null."""
    if isinstance(value, dict):
        pairs = (f"{k} = {toml(v)}" for k, v in value.items() if v is not None)
        return "{ " + ", ".join(pairs) + " }"
    return json.dumps(value)


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    assert process.wait(180) == 0, (folder / "output.txt").read_text()


def losses(folder: Path) -> dict[int, float]:
    """Loss of each step; for repeated steps, the later one."""
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return {line["step"]: line["bits"] for line in lines if line["event"] == "training"}


def weights(path: Path) -> dict[str, Tensor]:
    return {k: v for k, v in load_file(path).items() if k.startswith("model.")}


def assert_equal_losses(one: dict[int, float], other: dict[int, float]) -> None:
    assert one.keys() == other.keys()
    for step, loss in one.items():
        assert loss == pytest.approx(other[step], abs=TOLERANCE), step


def test_the_comparison_of_losses_can_fail() -> None:
    with pytest.raises(AssertionError):
        assert_equal_losses({1: 8.0}, {1: 8.0 + 2 * TOLERANCE})


def test_two_processes_equal_one_and_one_resumes_after_two(
    corpus: Path, whole: Path, tmp_path: Path
) -> None:
    config = settings(corpus, tmp_path / "run", steps=10, accumulate=2)
    finish(torchrun(config, tmp_path, resume=False), tmp_path)
    loop.train(settings(corpus, tmp_path / "run"), resume=True)
    assert_equal_losses(losses(tmp_path / "run"), losses(whole))


def test_a_run_with_a_killed_process_ends_like_an_uninterrupted_one(
    corpus: Path, tmp_path: Path
) -> None:
    """It also shows that --resume starts from scratch if there is no checkpoint yet."""
    steps = 80
    config = settings(corpus, tmp_path / "uninterrupted" / "run", steps=steps, batch_size=2)
    finish(torchrun(config, tmp_path / "uninterrupted", resume=True), tmp_path / "uninterrupted")
    broken = tmp_path / "interrupted"
    config = settings(corpus, broken / "run", steps=steps, batch_size=2)
    started = torchrun(config, broken, resume=True)
    kill_a_worker(started, broken / "run" / checkpoint.NAME)
    finish(started, broken)
    starts = [
        line["step"]
        for line in map(json.loads, (broken / "run" / "log.jsonl").read_text().splitlines())
        if line["event"] == "start"
    ]
    assert starts[0] == 0
    assert len(starts) == 2
    assert 0 < starts[1] < steps
    one, other = (
        weights(tmp_path / name / "run" / checkpoint.NAME)
        for name in ("uninterrupted", "interrupted")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert losses(broken / "run") == losses(tmp_path / "uninterrupted" / "run")


def kill_a_worker(started: subprocess.Popen[bytes], ready: Path) -> None:
    """Send SIGKILL to the second process once there is a checkpoint."""
    deadline = time.monotonic() + 120
    while not ready.exists():
        assert started.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for child in psutil.Process(started.pid).children():
        if child.environ().get("RANK") == "1":
            child.send_signal(signal.SIGKILL)
            return
    raise AssertionError("no second process")


def test_micro_batches_add_up_to_the_batch(corpus: Path, whole: Path, tmp_path: Path) -> None:
    loop.train(settings(corpus, tmp_path, accumulate=4))
    assert_equal_losses(losses(tmp_path), losses(whole))


def test_prefetched_batches_are_the_same(corpus: Path, whole: Path, tmp_path: Path) -> None:
    loop.train(settings(corpus, tmp_path, loader_threads=3))
    assert losses(tmp_path) == losses(whole)


def test_a_batch_that_cannot_be_divided_is_refused(corpus: Path, tmp_path: Path) -> None:
    assert Process(1, 2, CPU).micro_batches(12, 3) == [range(6, 8), range(8, 10), range(10, 12)]
    with pytest.raises(TrainingError, match="make it 8 or 12"):
        Process(0, 4, CPU).micro_batches(10, 1)
    with pytest.raises(TrainingError, match=r"accumulate 2 = 4: make it 4$"):
        Process(0, 2, CPU).micro_batches(3, 2)
    with pytest.raises(TrainingError, match="make it 2 or 4"):
        loop.train(settings(corpus, tmp_path, batch_size=3, accumulate=2))
