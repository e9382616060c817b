"""Configurations that extend each other, run logs, dry runs and the comparison of runs."""

import json
import shutil
from pathlib import Path

import pytest
from buzzing import make_corpus, run_config

import vocoder
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.sharding import shard
from vocoder.errors import ConfigError, TrainingError
from vocoder.training import config, dry_run, history, loop
from vocoder.training.compare import compare
from vocoder.training.process import process_group


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("speech"))


BASE = """name = "base"
corpus = "somewhere"
output = "runs/base"
steps = 1000

[model]
preset = "tiny"
conditioning = { channels = 8 }
"""


def test_a_configuration_extends_another_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "family").mkdir()
    middle = tmp_path / "family" / "middle.toml"
    middle.write_text('extends = "../base.toml"\nname = "middle"\n[model]\npre_emphasis = 0.85\n')
    leaf = tmp_path / "family" / "leaf.toml"
    leaf.write_text(
        'extends = "middle.toml"\nname = "leaf"\n[model]\npreset = "small"\n'
        "conditioning = { encoder_layers = 1 }\n"
    )
    loaded = config.load(leaf)
    assert isinstance(loaded, config.VocoderTraining)
    assert (loaded.name, loaded.steps, loaded.output) == ("leaf", 1000, "runs/base")
    assert loaded.model.stack.layers == 20
    assert loaded.model.pre_emphasis == 0.85
    assert loaded.model.conditioning.channels == 8
    assert loaded.model.conditioning.encoder_layers == 1


def test_settings_on_the_command_line_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "base.toml"
    path.write_text(BASE)
    changes = ["steps=2000", "model.pre_emphasis = 0.9", "output=runs/other", "compile=true"]
    loaded = config.load(path, changes)
    assert isinstance(loaded, config.VocoderTraining)
    assert (loaded.steps, loaded.output, loaded.compile) == (2000, "runs/other", True)
    assert loaded.model.pre_emphasis == 0.9
    logistics = config.load(path, ['model.distribution={kind="logistics", components=3}'])
    assert logistics.model.distribution.components == 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ('extends = "none.toml"', [], r"none.toml: No such file.*which run.toml extends"),
        ('extends = "run.toml"', [], "extends itself"),
        ("extends = 3", [], "give the name of a TOML file"),
        (BASE, ["steps"], "expected KEY=VALUE"),
        (BASE, ["stepz=3"], "stepz: unknown key"),
        (BASE, ["steps=many"], "steps"),
    ],
)
def test_invalid_settings_are_refused(
    tmp_path: Path, text: str, changes: list[str], message: str
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        config.load(path, changes)


def test_a_run_logs_its_settings_and_environment(corpus: Path, tmp_path: Path) -> None:
    loop.train(run_config(corpus, tmp_path, steps=2))
    described = json.loads((tmp_path / "run.json").read_text())
    assert described["config"]["steps"] == 2
    assert described["environment"]["vocoder"] == vocoder.__version__
    assert described["environment"]["processes"] == 1
    assert described["environment"]["processor"]


def test_a_dry_run_reports_faults_memory_and_speed_and_writes_nothing(
    corpus: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "corpus"
    shutil.copytree(corpus, broken)
    first, second = sorted(broken.glob("utterances/*/*.safetensors"))[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:-9])
    output = tmp_path / "run"
    lines = list(dry_run.check(run_config(corpus, output, steps=1000)))
    text = "\n".join(lines)
    assert "16 utterances, 2 speakers" in text
    assert "speaker ann has only 0." in text
    assert "missing" not in text
    assert "parameters; weights" in text
    assert "s of audio per second" in text
    assert "finish: 1,000 steps take" in text
    assert 'tried: precision = "bf16" gives' in text
    assert not output.exists()
    faults = [line for line in dry_run.corpus_lines(Corpus.load(broken)) if "fault" in line]
    assert any("1 files are missing" in line for line in faults)
    assert any("2 of 16 files checked are damaged" in line for line in faults)


def test_a_dry_run_checks_shards_and_profiles(corpus: Path, tmp_path: Path) -> None:
    shard(Corpus.load(corpus), tmp_path / "shards")
    test = tmp_path / "shards" / "test-00000.tar"
    test.write_bytes(test.read_bytes() + b"?")
    settings = run_config(tmp_path / "shards", tmp_path / "run", steps=2)
    lines = "\n".join(dry_run.check(settings, profile=True))
    assert "16 utterances in 3 shards" in lines
    assert f"corpus fault: {test}: has" in lines
    assert "step/backward" in lines
    assert "Self CPU" in lines


def test_activation_memory_scales_with_the_batch(corpus: Path, tmp_path: Path) -> None:
    """It is proportional to the micro-batch, and smaller when layers are recomputed."""

    def kept(**changes: object) -> int:
        with process_group() as process:
            settings = run_config(corpus, tmp_path / "run", steps=20, **changes)
            return dry_run.measure(settings, process).activations

    whole = kept(batch_size=2)
    assert kept(batch_size=4) == pytest.approx(2 * whole, rel=0.1)
    assert kept(batch_size=4, accumulate=2) == whole
    assert kept(batch_size=2, checkpoint_activations=True) < 0.8 * whole


def log(folder: Path, records: list[dict[str, object]]) -> Path:
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return folder


def recorded(event: str, hour: float, step: int, **values: object) -> dict[str, object]:
    return {"time": 3600 * hour, "event": event, "step": step, **values}


def test_repeated_steps_count_once(tmp_path: Path) -> None:
    records = [
        recorded("start", 1.0, 0, config={"seed": 1}),
        recorded("training", 2.0, 100, bits=8.0),
        recorded("validation", 2.5, 100, bits=7.9),
        recorded("training", 3.0, 200, bits=7.0),
        recorded("start", 9.0, 100, config={"seed": 1, "model": {"hold": 5}}),
        recorded("training", 10.0, 200, bits=6.5),
    ]
    found = history.read(log(tmp_path / "run", records))
    assert found.training == [(100, 1.0, 8.0), (200, 2.5, 6.5)]
    assert found.validation == [(100, 1.5, 7.9)]
    assert (found.steps, found.hours, found.metric) == (200, 2.5, "bits")
    assert found.settings == {"seed": 1, "model.hold": 5}


def test_runs_are_compared_on_a_page_with_plots(corpus: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        loop.train(run_config(corpus, tmp_path / name, seed=seed, name=name))
    scores = {"overall": {"bits_per_sample": 7.25, "metrics": {"wavenet": {"stoi": 0.971}}}}
    (tmp_path / "two" / "evaluation.json").write_text(json.dumps(scores))
    page = compare([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    text = page.read_text()
    best = history.read(tmp_path / "two").best
    assert best is not None
    row = next(line for line in text.splitlines() if line.startswith("| two |"))
    assert f"| 6 | 0.00 | {best.value:.4f} |" in row
    assert row.endswith("| 7.25 | 0.971 |")
    assert "| seed | 0 | 1 |" in text
    assert "| steps |" not in text.split("## Differences")[1]
    for name in ("steps.png", "hours.png"):
        assert f"]({name})" in text
        assert (page.parent / name).stat().st_size > 5000


def test_folders_without_a_comparable_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="give the output folder of a training run"):
        compare([tmp_path], tmp_path / "out")
    empty = log(tmp_path / "empty", [recorded("start", 0.0, 0)])
    with pytest.raises(TrainingError, match="no training step has been logged"):
        compare([empty], tmp_path / "out")
    runs = [
        log(
            tmp_path / metric,
            [recorded("start", 0.0, 0), recorded("training", 1.0, 1, **{metric: 1.0})],
        )
        for metric in ("bits", "mel")
    ]
    with pytest.raises(TrainingError, match="different metrics"):
        compare(runs, tmp_path / "out")
