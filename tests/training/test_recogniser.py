"""Training a recogniser on the toy language, its files, and ``vocoder recognise``."""

import hashlib
import itertools
import json
from pathlib import Path

import pytest
import torch
from conftest import Toy
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from vocoder.cli.app import app
from vocoder.config import ConditioningConfig, ModelConfig, StackConfig
from vocoder.corpus.frame_labels import FRAME_LABELS, read_labelled
from vocoder.corpus.shards import aligned_utterances
from vocoder.errors import ConfigError, RecogniserError, TrainingError
from vocoder.evaluation.frame_accuracy import ALL_SPEAKERS, CLASSIFIERS, FrameEvaluation, summary
from vocoder.evaluation.linear_classifier import MAX_ITERATIONS
from vocoder.recognition import recogniser
from vocoder.recognition.model import PhonemeRecogniser, RecogniserConfig
from vocoder.training import checkpoint, loop
from vocoder.training import config as configs
from vocoder.training.config import RecogniserTraining
from vocoder.training.tasks.recogniser import LabelledSegments, Objective, RecogniserTask, counts_of

WAVENET = ModelConfig(
    stack=StackConfig(
        cycles=1, layers_per_cycle=6, residual_channels=16, gate_channels=32, skip_channels=32
    ),
    conditioning=ConditioningConfig(kind="none", channels=1, upsample=(1,)),
)
MODEL = RecogniserConfig(wavenet=WAVENET, channels=24, layers=2, kernel_size=5)


def config(toy: Toy, output: Path, **changes: object) -> RecogniserTraining:
    settings = {
        "name": "toy",
        "corpus": str(toy.corpus.folder),
        "output": str(output),
        "model": MODEL,
        "steps": 6,
        "segment_frames": 60,
        "predicted_frames": 20,
        "batch_size": 4,
        "warm_up_steps": 2,
        "log_every": 2,
        "checkpoint_every": 3,
        "validate_every": 3,
        "validation_clips": 4,
    }
    return RecogniserTraining(**(settings | changes))


@pytest.fixture(scope="module")
def run(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("run")
    settings = {"steps": 80, "learning_rate": 1e-2, "decay_steps": 40, "ema_decay": 0.9}
    every = {"validate_every": 20, "checkpoint_every": 80, "log_every": 10, "batch_size": 2}
    loop.train(config(toy, folder, **settings, **every))
    return folder


def test_accuracy_rises_and_both_losses_fall(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    held_out = [line for line in lines if line["event"] == "validation"]
    training = [line for line in lines if line["event"] == "training"]
    assert held_out[-1]["accuracy"] > 0.9  # of six sounds, silence among them
    assert training[-1]["nats"] < 0.3 * training[0]["nats"]
    assert training[-1]["bits"] < training[0]["bits"] - 0.5
    assert held_out[-1]["bits"] < held_out[0]["bits"]


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(toy: Toy, tmp_path: Path) -> None:
    loop.train(config(toy, tmp_path / "whole"))
    loop.train(config(toy, tmp_path / "parts", steps=3))
    loop.train(config(toy, tmp_path / "parts"), resume=True)
    whole = load_file(tmp_path / "whole" / checkpoint.NAME)
    parts = load_file(tmp_path / "parts" / checkpoint.NAME)
    assert MODEL.dropout
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_batches_depend_only_on_seed_step_and_row(toy: Toy, tmp_path: Path) -> None:
    one, other = (
        LabelledSegments(toy.corpus, "train", config(toy, tmp_path, seed=1)) for _ in range(2)
    )
    one.batch(0, range(2))
    assert all(map(torch.equal, one.batch(9, range(2)), other.batch(9, range(2))))
    assert not torch.equal(one.batch(9, range(2)).audio, one.batch(10, range(2)).audio)
    assert torch.equal(one.batch(9, range(4)).audio[2:], one.batch(9, range(2, 4)).audio)


@pytest.mark.parametrize("first", [0, 3, 40, 80])
def test_a_segment_gives_the_same_outputs_as_the_whole_recording(
    toy: Toy, tmp_path: Path, first: int
) -> None:
    settings = config(toy, tmp_path)
    task = RecogniserTask(settings, toy.corpus, torch.device("cpu"))
    model, segments = task.model.eval(), task.segments
    torch.nn.init.normal_(model.wavenet.output.weight, std=0.3)
    pair = segments.aligned[0]
    audio, labels = read_labelled(toy.corpus, *pair, MODEL.pool)
    row = segments.segment(*pair, first)
    with torch.inference_mode():
        whole = model(audio[None])
        part = model(row.audio[None], row.valid[None], predicted=segments.predicted)
    at = torch.nonzero(row.counted).flatten()
    assert torch.equal(row.labels[at], labels[first + at])
    assert torch.allclose(part.logits[0, at], whole.logits[0, first + at], atol=1e-4)
    kept = torch.nonzero(row.predicted).flatten()
    sample = first * MODEL.pool + segments.predicted.start + kept
    assert torch.allclose(part.nll[0, kept], whole.nll[0, sample], atol=1e-3)
    start, stop = (
        first * MODEL.pool + at for at in (segments.predicted.start, segments.predicted.stop)
    )
    assert len(kept) == max(0, min(stop, len(audio)) - start)
    ends = first + segments.frames >= len(labels)
    expected = len(labels) - first if ends else segments.frames - MODEL.margin
    assert int(row.counted.sum()) == expected - (segments.before if first else 0)
    if first:  # the check can fail: the outputs that do not count do differ
        left_out = torch.nonzero(row.valid * (1 - row.counted)).flatten()
        assert not torch.allclose(
            part.logits[0, left_out], whole.logits[0, first + left_out], atol=1e-3
        )


def test_losses_of_micro_batches_add_up(toy: Toy, tmp_path: Path) -> None:
    task = RecogniserTask(config(toy, tmp_path), toy.corpus, torch.device("cpu"))
    objective = Objective(task.model.eval(), task.segments.predicted, 0.1, bf16=False)
    whole = task.batch(0, range(4))
    parts = [task.batch(0, range(0, 1)), task.batch(0, range(1, 4))]
    with torch.inference_mode():
        total = objective(whole).total
        shares = [objective(part, counts_of(whole)).total for part in parts]
        alone = [objective(part).total for part in parts]
    assert float(sum(shares)) == pytest.approx(float(total), rel=1e-5)
    assert float(sum(alone)) != pytest.approx(float(total), rel=1e-2)


def test_the_files_hold_the_averaged_weights(run: Path) -> None:
    model, manifest = recogniser.load(run)
    assert manifest.model.labels == FRAME_LABELS
    assert manifest.provenance.steps == 80
    assert {source.speaker for source in manifest.provenance.sources} == {"ann", "ben"}
    again, _ = recogniser.load(run / recogniser.FOLDER)
    average = load_file(run / checkpoint.NAME)
    for name, parameter in model.state_dict().items():
        assert torch.equal(parameter, average[f"average.{name}"])
        assert torch.equal(parameter, again.state_dict()[name])


@pytest.mark.parametrize("damage", ["missing", "short", "altered", "other", "not_finite"])
def test_damaged_weights_are_refused(tmp_path: Path, damage: str) -> None:
    model = PhonemeRecogniser(MODEL.model_copy(update={"labels": ("sil", "a")}))
    manifest = recogniser.RecogniserManifest(id="r", model=model.config)
    recogniser.save(tmp_path, model, manifest)
    recogniser.load(tmp_path)
    path = tmp_path / recogniser.WEIGHTS
    data, message = path.read_bytes(), "SHA-256"
    if damage == "missing":
        path.unlink()
        message = "No such file"
    elif damage == "short":
        path.write_bytes(data[:-8])
    elif damage == "altered":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        tensors = load_file(path)
        if damage == "other":
            tensors["output.bias"] = torch.zeros(3)
            message = "output.bias has shape"
        else:
            tensors["output.bias"] = torch.full((2,), float("nan"))
            message = "not finite"
        save_file(tensors, path)
        described = json.loads((tmp_path / recogniser.MANIFEST).read_text())
        described["weights"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (tmp_path / recogniser.MANIFEST).write_text(json.dumps(described))
    with pytest.raises(RecogniserError, match=message):
        recogniser.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ("[]", "format"), ('{"format": 1, "id": "r"}', "model")],
)
def test_damaged_manifests_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / recogniser.MANIFEST).write_text(text)
    with pytest.raises(RecogniserError, match=message):
        recogniser.load(tmp_path)


def test_a_recording_is_labelled_the_same_in_pieces(
    run: Path, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = recogniser.load(run)
    audio, _ = read_labelled(toy.corpus, *aligned_utterances(toy.corpus, "test")[0], MODEL.pool)
    whole = recogniser.posteriors(model, audio)
    for frames in (1, 7, 50):
        monkeypatch.setattr(recogniser, "PIECE_FRAMES", frames)
        assert torch.allclose(recogniser.posteriors(model, audio), whole, atol=1e-4)
    with pytest.raises(RecogniserError, match="give more"):
        recogniser.posteriors(model, audio[: MODEL.pool - 1])


def test_the_best_path_changes_label_only_if_it_pays() -> None:
    log_p = torch.log(
        torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.9, 0.1], [0.01, 0.99], [0.01, 0.99]])
    )
    assert recogniser.best_path(log_p, 0.0).tolist() == [0, 0, 1, 0, 1, 1]
    assert recogniser.best_path(log_p, 2.0).tolist() == [0, 0, 0, 0, 1, 1]
    assert recogniser.best_path(log_p, 99.0).tolist() == [1] * 6


def recording(toy: Toy) -> tuple[Path, list[str], float]:
    """A held-out recording before preparation, its phones and its length."""
    utterance, aligned = aligned_utterances(toy.corpus, "test")[0]
    path = toy.corpus.folder.parent / "in" / utterance.speaker / "wavs" / f"{utterance.id}.wav"
    phones = [word.ipa.replace("ˈ", "") for word in aligned.words]
    return path, " ".join(phones).split(), len(toy.truth[utterance.speaker, utterance.id].samples)


def test_recognise_lists_the_phones_of_a_recording_with_their_times(
    run: Path, toy: Toy, tmp_path: Path
) -> None:
    path, phones, samples = recording(toy)
    picture, listed = tmp_path / "heard.png", tmp_path / "heard.json"
    options = ["--json", str(listed), "--picture", str(picture)]
    result = CliRunner().invoke(app, ["recognise", str(run), str(path), *options])
    assert result.exit_code == 0, result.output
    heard = json.loads(listed.read_text())["phones"]
    spoken = [phone["label"] for phone in heard if phone["label"] != "sil"]
    assert len(set(spoken) & set(phones)) == len(set(phones))
    assert abs(len(spoken) - len(phones)) <= 2
    assert heard[0]["start_s"] == 0.0
    assert heard[-1]["end_s"] == pytest.approx(samples / 16000, abs=0.01)
    assert all(one["end_s"] == other["start_s"] for one, other in itertools.pairwise(heard))
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = result.stdout.splitlines()
    assert [line.split()[2] for line in lines] == [phone["label"] for phone in heard]


def test_frame_accuracy_is_compared_with_linear_classifiers(
    run: Path, toy: Toy, tmp_path: Path
) -> None:
    listed = tmp_path / "scores.json"
    options = [str(run), str(toy.corpus.folder), "--json", str(listed)]
    result = CliRunner().invoke(app, ["recognise", *options])
    assert result.exit_code == 0, result.output
    found = json.loads(listed.read_text())
    scores = {(score["speaker"], score["classifier"]): score for score in found["scores"]}
    assert scores.keys() == {(s, c) for s in ("ann", "ben", ALL_SPEAKERS) for c in CLASSIFIERS}
    everyone = {name: scores[ALL_SPEAKERS, name] for name in CLASSIFIERS}
    for name in ("recogniser", "linear_context", "linear"):
        assert everyone[name]["accuracy"] > 0.8
        assert everyone[name]["balanced_accuracy"] > 0.7
    assert everyone["most_frequent"]["accuracy"] < 0.6
    assert everyone["most_frequent"]["balanced_accuracy"] < 0.2
    frames = [scores[speaker, "recogniser"]["frames"] for speaker in ("ann", "ben", ALL_SPEAKERS)]
    assert frames[0] + frames[1] == frames[2]
    assert found["split"] == "test"
    assert all(0 < fit["iterations"] < MAX_ITERATIONS for fit in found["fits"].values())
    table = summary(FrameEvaluation.parse(found, "found"))
    assert f"{everyone['linear']['accuracy']:.3f}" in table
    assert table in result.stdout


def test_a_corpus_that_does_not_fit_is_refused(toy: Toy, tmp_path: Path) -> None:
    other = WAVENET.features.model_copy(update={"sample_rate_hz": 8000, "f_max_hz": 4000.0})
    wavenet = WAVENET.model_copy(update={"features": other})
    model = MODEL.model_copy(update={"wavenet": wavenet})
    with pytest.raises(TrainingError, match="8000 Hz"):
        loop.train(config(toy, tmp_path, model=model))
    other_labels = PhonemeRecogniser(MODEL.model_copy(update={"labels": ("sil", "a")}))
    recogniser.save(
        tmp_path, other_labels, recogniser.RecogniserManifest(id="r", model=other_labels.config)
    )
    result = CliRunner().invoke(app, ["recognise", str(tmp_path), str(toy.corpus.folder)])
    assert isinstance(result.exception, RecogniserError)


def test_the_shipped_configuration_loads(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "configs" / "recogniser.toml"
    found = configs.load(path)
    assert isinstance(found, RecogniserTraining)
    assert found.model.frame_rate_hz == 100
    text = path.read_text().replace("predicted_frames = ", "predicted_frames = 9")
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ConfigError, match="exceeds segment_frames"):
        configs.load(tmp_path / "run.toml")
