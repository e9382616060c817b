"""The command line, run as people run it: in a process of its own where the exit code matters."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import ASSETS
from safetensors.torch import save_file

from vocoder import __version__
from vocoder.audio import io as audio
from vocoder.cli import app as cli
from vocoder.cli.options import DEFAULT_VOICES
from vocoder.config import FeatureConfig
from vocoder.features import feature_file as features

RECORDING = ASSETS / "speech" / "slt_arctic_a0090.flac"


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def vocoder(
    voices: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run the command line in this process, on the tiny voice."""

    def run(*arguments: object) -> Result:
        monkeypatch.setenv("VOCODER_VOICES_DIR", str(voices))
        monkeypatch.setattr(sys, "argv", ["vocoder", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Result(int(ended.value.code or 0), *capsys.readouterr())

    return run


def assert_refused(result: Result, message: str) -> None:
    assert result.code == 2, result
    assert result.out == ""
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert message in result.err


def test_it_names_its_version(vocoder: Run) -> None:
    assert vocoder("--version") == Result(0, f"vocoder {__version__}\n", "")


def test_a_recording_goes_through_analysis_and_back(vocoder: Run, tmp_path: Path) -> None:
    short = tmp_path / "short.wav"
    samples, rate = audio.read(RECORDING)
    audio.write(short, samples[:4000], rate)
    out, wav = tmp_path / "f.safetensors", tmp_path / "out.wav"
    first = vocoder("analyze", short, "-o", out)
    assert first.code == 0, first.err
    assert "20 frames" in first.out
    second = vocoder("generate", out, "-o", wav, "--speaker", "ben", "--seed", 4)
    assert second.code == 0, second.err
    generated, rate = audio.read(wav)
    assert (len(generated), rate) == (4000, 16000)
    listed = json.loads(vocoder("voices", "--json").out)
    assert listed[0]["speakers"] == ["ann", "ben", "cat"]


def test_the_shipped_voices_are_the_default() -> None:
    assert (DEFAULT_VOICES / "arctic" / "voice.json").is_file()


def feature_file(path: Path, mel: torch.Tensor, config: FeatureConfig) -> Path:
    save_file({"mel": mel}, path, config.fingerprint())
    return path


def test_unusable_features_are_refused_and_nothing_is_written(vocoder: Run, tmp_path: Path) -> None:
    config, wav = FeatureConfig(), tmp_path / "out.wav"
    cases = [
        (torch.zeros(80, 3), config.model_copy(update={"hop_length": 160}), "hop_length 160"),
        (torch.full((80, 3), torch.nan), config, "nan at band 0, frame 0"),
        (torch.zeros(80, 0), config, "no frames"),
        (torch.zeros(64, 3), config, "(64, 3), expected (80, frames)"),
    ]
    for i, (mel, made_with, message) in enumerate(cases):
        path = feature_file(tmp_path / f"{i}.safetensors", mel, made_with)
        assert_refused(vocoder("generate", path, "-o", wav), message)
    good = feature_file(tmp_path / "good.safetensors", torch.zeros(80, 1), config)
    for arguments, message in [
        (("--voice", "nobody"), "choose one of tiny"),
        (("--speaker", "dora"), "ann, ben, cat"),
        (("--engine", "warp"), "choose one of auto, triton, cuda-graph, cpu, reference"),
        (("--seed", "-1"), "seed -1"),
    ]:
        result = vocoder("generate", good, "-o", wav, *arguments)
        assert_refused(result, message)
    assert not wav.exists()


def test_damaged_weights_are_refused(vocoder: Run, voices: Path, tmp_path: Path) -> None:
    import shutil

    good = feature_file(tmp_path / "good.safetensors", torch.zeros(80, 1), FeatureConfig())
    folder = tmp_path / "voices"
    shutil.copytree(voices, folder)
    path = folder / "tiny" / "vocoder.safetensors"
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[-9] ^= 4
    for damaged in (data[:-1], data + b"x", bytes(flipped)):
        path.write_bytes(damaged)
        result = vocoder("generate", good, "-o", tmp_path / "o.wav", "--voices-dir", folder)
        assert_refused(result, "SHA-256")
    assert not (tmp_path / "o.wav").exists()


def test_a_voice_is_packed_into_a_new_folder(vocoder: Run, voices: Path, tmp_path: Path) -> None:
    result = vocoder("pack", voices / "tiny", "-o", tmp_path / "mine", "--name", "Mine")
    assert result.code == 0
    assert "voice mine" in result.out
    assert "reads text" in result.out
    spoken = vocoder(
        *("speak", "Yes.", "--voices-dir", tmp_path, "--voice", "mine", "-o", tmp_path / "yes.wav")
    )
    assert spoken.code == 0
    again = vocoder("pack", voices / "tiny", "-o", tmp_path / "mine")
    assert_refused(again, "already exists")


def test_text_named_wav_is_refused(vocoder: Run, tmp_path: Path) -> None:
    path, out = tmp_path / "speech.wav", tmp_path / "f.safetensors"
    path.write_text("to be, or not to be")
    assert_refused(vocoder("analyze", path, "-o", out), "not readable as audio")
    assert not out.exists()


def test_a_configuration_with_an_unknown_key_is_refused(vocoder: Run, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("name='x'\ncorpus='c'\noutput='o'\nsteps=1000\nspeed=3\n[model]\npreset='tiny'")
    assert_refused(vocoder("train", path), "speed: unknown key")
    assert not (tmp_path / "o").exists()


def test_a_folder_that_is_no_corpus_is_refused(vocoder: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = vocoder("prepare", tmp_path / "empty", "-o", tmp_path / "out")
    assert_refused(result, "empty")


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
        assert "--voice excludes" in refused.err
    assert "'dora' is unknown" in vocoder("bench", "--voice", "dora").err


def test_a_process_of_its_own_exits_2_with_one_line(voices: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from vocoder.cli import main; main()"]
    result = subprocess.run(
        [*command, "generate", tmp_path / "none", "-o", tmp_path / "o.wav"],
        capture_output=True,
        text=True,
        env=os.environ | {"VOCODER_VOICES_DIR": str(voices)},
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.endswith("none: no such file\n")
    assert len(result.stderr.splitlines()) == 1


def test_the_shipped_features_are_those_of_the_shipped_recording() -> None:
    config = FeatureConfig()
    samples, _ = audio.read(RECORDING, config.sample_rate_hz)
    shipped = features.load(RECORDING.with_suffix(".safetensors"), config)
    found = features.analyze(samples, config, with_f0=False)
    assert np.abs(shipped.mel.numpy() - found.mel.numpy()).max() < 1e-3


def test_text_is_spoken_to_every_kind_of_file(vocoder: Run, tmp_path: Path) -> None:
    for name in ("out.wav", "out.flac", "out.mp3"):
        result = vocoder("speak", "Sea shells.", "-o", tmp_path / name, "--seed", 3)
        assert result.code == 0, result.err
        assert "first audio after" in result.out
    wav, rate = audio.read(tmp_path / "out.wav")
    flac, _ = audio.read(tmp_path / "out.flac")
    assert rate == 16000
    assert np.array_equal(wav, flac)
    assert abs(len(audio.read(tmp_path / "out.mp3")[0]) - len(wav)) < 1200


def test_text_comes_from_arguments_files_and_standard_input(
    vocoder: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.txt").write_text("Sea shells.")
    (tmp_path / "t.ssml").write_text("<speak>Sea shells.</speak>")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Sea shells.")))
    sounds = []
    for given in ("Sea shells.", tmp_path / "t.txt", tmp_path / "t.ssml", "-"):
        assert vocoder("speak", given, "-o", tmp_path / "o.wav").code == 0
        sounds.append((tmp_path / "o.wav").read_bytes())
    assert len(set(sounds)) == 1


def test_a_dry_run_shows_the_reading_and_writes_times(vocoder: Run, tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text('{"GIF": "dʒɪf"}')
    result = vocoder(
        "speak",
        "A GIF for $5.",
        "--dry-run",
        "--lexicon",
        tmp_path / "words.json",
        "--timings",
        tmp_path / "t.json",
    )
    assert result.code == 0
    assert "a GIF for five dollars." in result.out
    assert "d͡ʒɪf" in result.out
    words = json.loads((tmp_path / "t.json").read_text())
    assert [word["text"] for word in words] == ["a", "GIF", "for", "five", "dollars"]
    assert words[0]["phonemes"][0]["symbol"] == "ə"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Hello.",), "-o OUT.wav"),
        (("Hello.", "-o", "out.ogg"), "name the output"),
        (("", "-o", "out.wav"), "empty"),
        (("missing.txt", "-o", "out.wav"), "No such file"),
        (("Привет", "-o", "out.wav"), "Latin"),
        (("Hello.", "-o", "out.wav", "--speed", "9"), "0.25 to 4"),
        (("Hello.", "-o", "out.wav", "--lexicon", "missing.json"), "No such file"),
        (("<speak>", "--ssml", "-o", "out.wav"), "line 1"),
    ],
)
def test_speech_that_cannot_be_is_refused_and_leaves_nothing(
    vocoder: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(vocoder("speak", *arguments), message)
    assert not list(tmp_path.iterdir())


def test_speak_writes_the_features_that_generate_vocodes(vocoder: Run, tmp_path: Path) -> None:
    made, wav = tmp_path / "f.safetensors", tmp_path / "f.wav"
    result = vocoder("speak", "Ready. Go on.", "--features", made, "--speaker", "ben")
    assert result.code == 0, result
    assert "frames" in result.out
    result = vocoder("generate", made, "-o", wav, "--speaker", "ben")
    assert result.code == 0, result
    frames = features.load(made, FeatureConfig()).frames
    assert len(audio.read(wav, 16000)[0]) == frames * FeatureConfig().hop_length


def test_generate_wants_features_or_seconds_as_the_voice_does(vocoder: Run, tmp_path: Path) -> None:
    wav = tmp_path / "o.wav"
    assert_refused(vocoder("generate", "-o", wav), "name a feature file, or give --seconds")
    assert_refused(vocoder("generate", "-o", wav, "--seconds", 1), "mel has no frames")
    assert_refused(vocoder("generate", "-o", wav, "--seconds", -1), "not a positive number")
    good = tmp_path / "f.safetensors"
    assert vocoder("speak", "Ready.", "--features", good).code == 0
    tagged = vocoder("generate", good, "-o", wav, "--tag", "loud")
    assert_refused(tagged, "tag 'loud' is unknown: voice tiny has none")
    assert not wav.exists()
