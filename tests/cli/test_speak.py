"""The commands speak, generate and analyze."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Run, assert_rejected
from conftest import ASSETS
from safetensors.torch import save_file

from vocoder.audio import io as audio
from vocoder.config import FeatureConfig
from vocoder.features import feature_file as features

RECORDING = ASSETS / "speech" / "slt_arctic_a0090.flac"


def test_analyze_and_generate_a_recording(vocoder: Run, tmp_path: Path) -> None:
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


def feature_file(path: Path, mel: torch.Tensor, config: FeatureConfig) -> Path:
    save_file({"mel": mel}, path, config.fingerprint())
    return path


def test_generate_rejects_bad_input_and_writes_nothing(vocoder: Run, tmp_path: Path) -> None:
    config, wav = FeatureConfig(), tmp_path / "out.wav"
    cases = [
        (torch.zeros(80, 3), config.model_copy(update={"hop_length": 160}), "hop_length 160"),
        (torch.full((80, 3), torch.nan), config, "nan at band 0, frame 0"),
        (torch.zeros(80, 0), config, "no frames"),
        (torch.zeros(64, 3), config, "(64, 3), expected (80, frames)"),
    ]
    for i, (mel, made_with, message) in enumerate(cases):
        path = feature_file(tmp_path / f"{i}.safetensors", mel, made_with)
        assert_rejected(vocoder("generate", path, "-o", wav), message)
    good = feature_file(tmp_path / "good.safetensors", torch.zeros(80, 1), config)
    for arguments, message in [
        (("--voice", "nobody"), "choose one of tiny"),
        (("--speaker", "dora"), "ann, ben, cat"),
        (("--engine", "warp"), "choose one of auto, triton, cuda-graph, cpu, reference"),
        (("--seed", "-1"), "seed -1"),
        (("--clarity", "3"), "clarity 3 is not in 0 to 2"),
    ]:
        result = vocoder("generate", good, "-o", wav, *arguments)
        assert_rejected(result, message)
    assert not wav.exists()


def test_damaged_weights_are_rejected(vocoder: Run, voices: Path, tmp_path: Path) -> None:
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
        assert_rejected(result, "SHA-256")
    assert not (tmp_path / "o.wav").exists()


def test_analyze_rejects_text_named_wav(vocoder: Run, tmp_path: Path) -> None:
    path, out = tmp_path / "speech.wav", tmp_path / "f.safetensors"
    path.write_text("to be, or not to be")
    assert_rejected(vocoder("analyze", path, "-o", out), "not readable as audio")
    assert not out.exists()


def test_asset_features_match_the_asset_recording() -> None:
    config = FeatureConfig()
    samples, _ = audio.read(RECORDING, config.sample_rate_hz)
    shipped = features.load(RECORDING.with_suffix(".safetensors"), config)
    found = features.analyze(samples, config, with_f0=False)
    assert np.abs(shipped.mel.numpy() - found.mel.numpy()).max() < 1e-3


def test_speak_writes_every_audio_format(vocoder: Run, tmp_path: Path) -> None:
    for name in ("out.wav", "out.flac", "out.mp3"):
        result = vocoder("speak", "Sea shells.", "-o", tmp_path / name, "--seed", 3)
        assert result.code == 0, result.err
        assert "first audio after" in result.out
    wav, rate = audio.read(tmp_path / "out.wav")
    flac, _ = audio.read(tmp_path / "out.flac")
    assert rate == 16000
    assert np.array_equal(wav, flac)
    assert abs(len(audio.read(tmp_path / "out.mp3")[0]) - len(wav)) < 1200


def test_speak_reads_arguments_files_and_standard_input(
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


def test_dry_run_prints_the_reading_and_writes_timings(vocoder: Run, tmp_path: Path) -> None:
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
def test_speak_rejects_bad_input_and_writes_nothing(
    vocoder: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_rejected(vocoder("speak", *arguments), message)
    assert not list(tmp_path.iterdir())


def test_speak_writes_features_for_generate(vocoder: Run, tmp_path: Path) -> None:
    made, wav = tmp_path / "f.safetensors", tmp_path / "f.wav"
    result = vocoder("speak", "Ready. Go on.", "--features", made, "--speaker", "ben")
    assert result.code == 0, result
    assert "frames" in result.out
    result = vocoder("generate", made, "-o", wav, "--speaker", "ben")
    assert result.code == 0, result
    frames = features.load(made, FeatureConfig()).frames
    assert len(audio.read(wav, 16000)[0]) == frames * FeatureConfig().hop_length


def test_generate_needs_features_or_seconds_depending_on_the_voice(
    vocoder: Run, tmp_path: Path
) -> None:
    wav = tmp_path / "o.wav"
    assert_rejected(vocoder("generate", "-o", wav), "give either a feature file, or --seconds")
    assert_rejected(vocoder("generate", "-o", wav, "--seconds", 1), "mel has no frames")
    assert_rejected(vocoder("generate", "-o", wav, "--seconds", -1), "not a positive number")
    good = tmp_path / "f.safetensors"
    assert vocoder("speak", "Ready.", "--features", good).code == 0
    tagged = vocoder("generate", good, "-o", wav, "--tag", "loud")
    assert_rejected(tagged, "tag 'loud' is unknown: voice tiny has none")
    assert not wav.exists()
