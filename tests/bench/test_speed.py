import json

from tolerances import STEP_AGAINST_PARALLEL

from vocoder.bench.speed import measure
from vocoder.bench.training import measure_training


def test_a_measurement_holds_together() -> None:
    result = measure("tiny", "auto", streams=2, threads=1, seconds=0.01)
    data = json.loads(result.model_dump_json())
    assert data["engine"] == "reference"
    assert data["samples_per_second"] > 0
    assert 0 <= data["max_error_against_reference"] < STEP_AGAINST_PARALLEL
    steps = data["samples_per_second"] / 2
    assert abs(data["microseconds_per_step"] * steps / 1e6 - 1) < 1e-6
    assert abs(data["real_time_streams"] * 16000 / data["samples_per_second"] - 1) < 1e-6


def test_a_training_step_is_timed_in_each_format() -> None:
    results = measure_training("tiny", rows=1, seconds=0.1, threads=1, steps=1, compiled=False)
    assert {"vocoder fp32", "vocoder bf16"} <= {result.name for result in results}
    for result in results:
        assert abs(result.audio_per_second * result.step_ms / 1e3 - 0.1) < 1e-6
