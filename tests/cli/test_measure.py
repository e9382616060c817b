"""The command bench."""

import json

import pytest
from commands import Run


@pytest.mark.parametrize(("engine", "name"), [("auto", "cpu"), ("reference", "reference")])
def test_bench_prints_json(vocoder: Run, engine: str, name: str) -> None:
    result = vocoder("bench", "--preset", "tiny", "--engine", engine, "--seconds", "0.01", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["engine"] == name


def test_bench_measures_a_voice(vocoder: Run) -> None:
    result = vocoder("bench", "--voice", "tiny", "--streams", "3", "--seconds", "0.01", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert (found["preset"], found["streams"], found["engine"]) == ("tiny", 3, "cpu")
    assert found["max_error_against_reference"] < 0.1
    for other in (("--preset", "small"), ("--training",), ("--page", "x.md"), ("--peer",)):
        refused = vocoder("bench", "--voice", "tiny", *other)
        assert refused.code == 2
        assert "--voice cannot be combined" in refused.err
    assert "'dora' is unknown" in vocoder("bench", "--voice", "dora").err
