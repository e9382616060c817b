"""Training on a few seconds of generated signal; the tests check the bookkeeping."""

import json
from pathlib import Path

import pytest
import torch
from buzzing import make_corpus, run_config
from conftest import CONFIGS, random_model
from safetensors.torch import load_file
from torch import Tensor

from vocoder.config import GenerationConfig
from vocoder.corpus.manifest import Corpus
from vocoder.errors import ConfigError, TrainingError
from vocoder.training import checkpoint, config, loop
from vocoder.training.data.segments import Batch, Segments
from vocoder.training.tasks import vocoder
from vocoder.training.tasks.task import Loss
from vocoder.voices import voice
from vocoder.voices.manifest import MANIFEST
from vocoder.wavenet.model import Past, WaveNet


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("speech"))


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    corpus: Path, tmp_path: Path
) -> None:
    loop.train(run_config(corpus, tmp_path / "whole"))
    interrupted = run_config(corpus, tmp_path / "parts", steps=3)
    loop.train(interrupted)
    loop.train(run_config(corpus, tmp_path / "parts"), resume=True)
    whole = load_file(tmp_path / "whole" / checkpoint.NAME)
    parts = load_file(tmp_path / "parts" / checkpoint.NAME)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    digests = [voice.load(tmp_path / run / "voice").digest for run in ("whole", "parts")]
    assert digests[0] == digests[1]


def test_free_running_samples_are_written_as_audio_and_spectrograms(
    corpus: Path, tmp_path: Path
) -> None:
    loop.train(run_config(corpus, tmp_path, steps=2, sample_every=2, sample_clips=2))
    written = sorted(path.suffix for path in (tmp_path / "samples" / "step-0000002").iterdir())
    assert written == [".png", ".png", ".wav", ".wav"]
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_held_out_loss_falls(corpus: Path, tmp_path: Path) -> None:
    loop.train(
        run_config(corpus, tmp_path, steps=60, learning_rate=3e-3, batch_size=4, log_every=5)
    )
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    bits = [line["bits"] for line in lines if line["event"] == "validation"]
    assert bits[-1] < bits[0] - 0.2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_distribution_and_precision_trains(
    corpus: Path, tmp_path: Path, precision: str
) -> None:
    for name in ("mu_law_pre_emphasis", "logistics"):
        model = CONFIGS[name].model_copy(update={"speakers": ("default",)})
        folder = loop.train(
            run_config(corpus, tmp_path / name, model=model, steps=2, precision=precision)
        )
        loaded = voice.load(folder)
        assert loaded.speakers == ("ann", "ben")
        assert loaded.manifest.provenance.steps == 2


def test_resuming_logs_changed_settings_and_refuses_a_different_model(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loop.train(run_config(corpus, tmp_path, steps=3))
    with pytest.raises(TrainingError, match="--resume"):
        loop.train(run_config(corpus, tmp_path))
    other = CONFIGS["logistics"].model_copy(update={"speakers": ("default",)})
    with pytest.raises(TrainingError, match="different model"):
        loop.train(run_config(corpus, tmp_path, model=other), resume=True)
    with caplog.at_level("INFO"):
        loop.train(run_config(corpus, tmp_path, steps=4, learning_rate=5e-4), resume=True)
    assert "learning_rate was 0.001, is now 0.0005" in caplog.text


def test_fine_tuning_starts_from_a_voice_and_refuses_a_different_shape(
    corpus: Path, tmp_path: Path
) -> None:
    first = loop.train(run_config(corpus, tmp_path / "first", steps=3))
    changes = {"initial_voice": str(first), "steps": 1, "warm_up_steps": 1, "learning_rate": 1e-12}
    second = loop.train(run_config(corpus, tmp_path / "second", **changes))
    start, tuned = voice.load(first), voice.load(second)
    before, after = start.model.state_dict(), tuned.model.state_dict()
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    assert str(tmp_path) not in (second / MANIFEST).read_text()
    assert start.manifest.provenance.started_from is None
    assert tuned.manifest.provenance.started_from == voice.StartingPoint(
        voice=start.id,
        weights=start.manifest.weights[voice.VOCODER_WEIGHTS],
        provenance=start.manifest.provenance,
    )
    other = CONFIGS["logistics"].model_copy(update={"speakers": ("default",)})
    with pytest.raises(TrainingError, match="has shape"):
        loop.train(run_config(corpus, tmp_path / "third", model=other, **changes))


def test_resuming_a_finished_run_exports_the_voice_with_the_current_settings(
    corpus: Path, tmp_path: Path
) -> None:
    loop.train(run_config(corpus, tmp_path, steps=3))
    described = config.VoiceDescription(name="Ann and Ben", licence="CC0-1.0")
    generation = GenerationConfig(correction_passes=2)
    loop.train(
        run_config(corpus, tmp_path, steps=3, voice=described, generation=generation), resume=True
    )
    manifest = voice.load(tmp_path / "voice").manifest
    assert (manifest.name, manifest.generation) == ("Ann and Ben", generation)


def test_a_damaged_checkpoint_is_refused(corpus: Path, tmp_path: Path) -> None:
    loop.train(run_config(corpus, tmp_path, steps=3))
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="damaged"):
        loop.train(run_config(corpus, tmp_path), resume=True)
    with pytest.raises(TrainingError, match="no checkpoint"):
        loop.train(run_config(corpus, tmp_path / "none"), resume=True)


def test_nan_stops_the_run_with_a_report_and_keeps_the_checkpoint(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.train(run_config(corpus, tmp_path, steps=3))
    before = (tmp_path / checkpoint.NAME).read_bytes()
    forward = vocoder.Objective.forward

    def broken(self: vocoder.Objective, batch: Batch, counts: Tensor) -> Loss:
        loss = forward(self, batch, counts)
        return loss._replace(total=loss.total * float("nan"))

    monkeypatch.setattr(vocoder.Objective, "forward", broken)
    with pytest.raises(TrainingError, match="step 3: loss nan"):
        loop.train(run_config(corpus, tmp_path), resume=True)
    report = json.loads((tmp_path / "not-finite.json").read_text())
    assert report["step"] == 3
    assert report["gradients_not_finite"]
    assert (tmp_path / checkpoint.NAME).read_bytes() == before


def test_segments_lie_within_one_file_and_the_warm_up_does_not_count(corpus: Path) -> None:
    loaded = Corpus.load(corpus)
    model = CONFIGS["logistics"].model_copy(update={"speakers": loaded.speakers})
    segments = Segments(loaded, "train", model, segment_frames=4, seed=0)
    hop, warm_up = model.features.hop_length, segments.warm_up_frames * model.features.hop_length
    assert warm_up >= model.receptive_field
    utterance = segments.utterances[0]
    pcm, _ = loaded.read(utterance)
    start = segments.segment(utterance, 0)
    assert start.mask.all()
    assert torch.equal(start.audio, pcm[: len(start.audio)].float() / 32768)
    inner = segments.segment(utterance, 5)
    assert not inner.mask[:warm_up].any()
    assert inner.mask[warm_up:].all()
    assert torch.equal(inner.audio, pcm[5 * hop : 5 * hop + len(inner.audio)].float() / 32768)
    end = segments.segment(utterance, utterance.frames - 2)
    assert not end.mask[2 * hop :].any()
    assert not end.audio[2 * hop :].any()


def test_the_masked_loss_equals_the_loss_of_the_whole_file(corpus: Path) -> None:
    """Samples that count have the same likelihood in a segment as in the whole file."""
    loaded = Corpus.load(corpus)
    model_config = CONFIGS["linear_prediction"].model_copy(update={"speakers": loaded.speakers})
    torch.manual_seed(0)
    model = WaveNet(model_config).eval()
    torch.nn.init.normal_(model.output.weight, std=0.1)
    segments = Segments(loaded, "train", model_config, segment_frames=6, seed=0)
    utterance = segments.utterances[0]
    pcm, mel = loaded.read(utterance)
    row = segments.segment(utterance, 7)
    with torch.inference_mode():
        whole = model.nll(pcm.float()[None] / 32768, model.condition(mel[None], row.speaker[None]))
        part = model.nll(
            row.audio[None], model.condition_margined(row.features[None], row.speaker[None])
        )
    counted = row.mask.bool()
    first = 7 * model_config.features.hop_length
    expected = whole[0, first : first + len(row.mask)][counted]
    # The first predicted samples of a segment lack the excitation before; the warm-up hides that.
    assert torch.allclose(part[0][counted], expected, atol=2e-3)


@pytest.mark.parametrize("name", ["contexts", "contexts_hold_1"])
def test_a_segment_includes_the_past_that_context_stacks_need(corpus: Path, name: str) -> None:
    loaded = Corpus.load(corpus)
    model_config = CONFIGS[name].model_copy(update={"speakers": loaded.speakers})
    model = random_model(model_config)
    segments = Segments(loaded, "train", model_config, segment_frames=6, seed=0)
    utterance, hop = segments.utterances[0], model_config.features.hop_length
    assert (segments.past_frames > 0) == (name == "contexts")
    pcm, mel = loaded.read(utterance)
    for first in (0, 2, segments.past_frames + 3):
        row = segments.segment(utterance, first)
        assert int(row.known) == min(first, segments.past_frames) * hop
        with torch.inference_mode():
            speaker = row.speaker[None]
            whole = model.nll(pcm.float()[None] / 32768, model.condition(mel[None], speaker))[0]
            part = model.nll(
                row.audio[None],
                model.condition_margined(row.features[None], speaker),
                Past(row.past[None], row.known[None]),
            )[0]
        counted = row.mask.bool()
        expected = whole[first * hop : first * hop + len(row.mask)][counted]
        assert torch.allclose(part[counted], expected, atol=2e-3)


def test_batches_depend_only_on_seed_step_and_row(corpus: Path) -> None:
    loaded = Corpus.load(corpus)
    model = CONFIGS["logistics"].model_copy(update={"speakers": loaded.speakers})
    one, other = (Segments(loaded, "train", model, 4, seed=1) for _ in range(2))
    one.batch(0, range(2))
    assert torch.equal(one.batch(9, range(2)).audio, other.batch(9, range(2)).audio)
    assert not torch.equal(one.batch(9, range(2)).audio, one.batch(10, range(2)).audio)
    assert not torch.equal(one.batch(9, range(2)).audio, one.batch(9, range(2, 4)).audio)
    assert torch.equal(one.batch(9, range(4)).audio[2:], one.batch(9, range(2, 4)).audio)


def test_the_learning_rate_warms_up_holds_and_decays(corpus: Path, tmp_path: Path) -> None:
    settings = run_config(
        corpus, tmp_path, steps=100, warm_up_steps=10, decay_steps=20, learning_rate=1.0
    )
    assert settings.rate(0) == pytest.approx(0.1)
    assert settings.rate(9) == settings.rate(50) == settings.rate(80) == 1.0
    assert settings.rate(90) == pytest.approx(0.5)
    assert settings.rate(99) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz = 3", "unknown key"),
        ("steps = 0", "steps"),
        ("steps = 'many'", "steps"),
        ("steps = 3", "warm_up_steps 200"),
        ("learning_rate = ", "not TOML"),
        ("[model]\npreset = 'huge'", "choose one of tiny"),
        ("[model]\npreset = 'small'\nwidth = 3", "unknown key"),
        ("[model]\npreset = 'small'\nlinear_prediction = {}", "needs distribution"),
    ],
)
def test_bad_configurations_are_refused(tmp_path: Path, text: str, message: str) -> None:
    given = text.split("\n")[0].split(" =")[0]
    head = {"name": "'x'", "corpus": "'c'", "output": "'o'", "steps": "1000"}
    lines = [f"{key} = {value}" for key, value in head.items() if key != given]
    model = "" if "[model]" in text else "\n[model]\npreset = 'tiny'"
    path = tmp_path / "run.toml"
    path.write_text("\n".join(lines) + "\n" + text + model)
    with pytest.raises(ConfigError, match=message):
        config.load(path)
