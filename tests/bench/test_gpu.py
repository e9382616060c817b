"""The GPU benchmark on a small shape in Triton's interpreter."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from vocoder.bench import equality, flight, gpu
from vocoder.generation.cpu import CpuEngine
from vocoder.machine import CPU
from vocoder.presets import preset
from vocoder.scheduling.batch import Batch

pytest.importorskip("triton")

QUICKER = """
import sys
from vocoder.bench import equality, gpu, subject
subject.CHECKED_SAMPLES, equality.JOINED_STEPS = 12, 4
sys.exit(gpu.main(sys.argv[1:]))
"""


def test_every_measurement_runs_and_the_engine_is_correct(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    arguments = ["--device", "cpu", "--quick", "--results", str(file)]
    done = subprocess.run(
        [sys.executable, "-c", QUICKER, *arguments],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    (row,) = found["equality"]
    assert row["right"]
    assert 0 < row["error"] < 0.1
    assert found["speed"][0]["floor_us"] > 0
    assert found["in flight"][0]["one_after_another_us"] > 0
    assert found["first audio"][0]["first_audio_ms"] > 0
    assert found["machine"]
    assert "share_of_floor" in done.stdout


def test_streams_are_split_over_chunks_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a CPU engine that claims two chunks in flight; a single stream cannot be split."""
    shares: list[list[int]] = []
    advance = Batch.advance

    def watched(self: Batch, rows: Sequence[int], *given: Any) -> Tensor:
        shares.append(list(rows))
        return advance(self, rows, *given)

    monkeypatch.setattr(Batch, "advance", watched)
    monkeypatch.setattr(CpuEngine, "max_concurrency", 2)
    monkeypatch.setattr(equality, "ENGINE", "cpu")
    one, five = flight.in_flight("tiny", CPU, "bf16", (1, 5), steps=90, chunks=2)
    assert one["one_after_another_us"] > 0
    assert "gain" not in one
    assert five["in_flight"] == 2
    assert five["gain"] == pytest.approx(five["one_after_another_us"] / five["in_flight_us"])
    assert shares[:6] == [[0]] * 3 + [[0, 1, 2, 3, 4]] * 3
    assert sorted(shares[6:]) == [[0, 2, 4]] * 3 + [[1, 3]] * 3


def test_the_peer_runs_the_same_shape_in_its_fastest_mode(tmp_path: Path) -> None:
    program = tmp_path / "nv_wavenet_perf"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {tmp_path / "asked"}\n'
        'case "$*" in *"-c 4"*) rate=40.5;; *) rate=9;; esac\n'
        'echo "Sample rate: $rate kHz"\n'
    )
    program.chmod(0o755)
    rows = list(gpu.peers(program, preset("standard"), (1, 4)))
    assert [row["peer_rate_hz"] for row in rows] == [9000, 40500]
    assert rows[1]["peer_samples_a_second"] == 4 * 40500
    first = (tmp_path / "asked").read_text().splitlines()[0]
    assert first == "-l 30 -r 64 -s 128 -a 256 -d 512 -n 16384 -p 16 -m 0 -b 1 -c 1"


def test_the_error_without_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    if gpu.torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert gpu.main([]) == 2
    assert "no NVIDIA GPU" in capsys.readouterr().err
