"""The whole evaluation with an untrained voice; the tests check the bookkeeping."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ODD, Toy, random_model

from vocoder.audio import io as audio
from vocoder.audio.io import Samples
from vocoder.config import ConditioningConfig, ModelConfig
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.prepare import prepare
from vocoder.corpus.settings import PreparationConfig
from vocoder.corpus.shards import aligned_utterances
from vocoder.errors import CorpusError, EngineError, FeatureError, NotFoundError, UserError
from vocoder.evaluation.evaluate import SYSTEMS, Evaluation, evaluate
from vocoder.evaluation.report import PAGE_FILE, summary, write_json, write_report
from vocoder.text.linguistic import CHANNELS
from vocoder.voices import voice
from vocoder.voices.voice import Voice

SMALL = ODD.stack.model_copy(update={"cycles": 1, "layers_per_cycle": 2})
CONFIG = ODD.model_copy(update={"speakers": ("cat", "ben", "ann"), "stack": SMALL})
RATE = CONFIG.features.sample_rate_hz


def buzz(f0_hz: float, seconds: float) -> Samples:
    time = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * k * f0_hz * time) / k for k in range(1, 9))
    return (0.1 * np.asarray(wave) * np.sin(np.pi * time / time[-1])).astype(np.float32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two of the voice's three speakers, in a different order."""
    root = tmp_path_factory.mktemp("speech")
    for speaker, f0_hz in (("ann", 200.0), ("ben", 110.0)):
        for number in range(6):
            sound = buzz(f0_hz + number, 0.3 + 0.02 * number)
            (root / "in" / speaker).mkdir(parents=True, exist_ok=True)
            audio.write(root / "in" / speaker / f"arctic_a000{number}.wav", sound, RATE)
    settings = PreparationConfig(
        features=CONFIG.features, min_duration_s=0.2, validation_fraction=0.2, test_fraction=0.4
    )
    prepare([root / "in"], root / "out", settings, jobs=1)
    return Corpus.load(root / "out")


def save_voice(folder: Path, config: ModelConfig) -> Voice:
    model = random_model(config)
    voice.save(folder, model, voice.VoiceManifest(id="odd", model=config, weights={}))
    return voice.load(folder)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    return save_voice(tmp_path_factory.mktemp("voices") / "odd", CONFIG)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def evaluation(odd: Voice, corpus: Corpus, folder: Path) -> Evaluation:
    return evaluate(odd, corpus, per_speaker=2, seed=5, audio_dir=folder)


def test_clips_are_held_out_and_distinct(evaluation: Evaluation, corpus: Corpus) -> None:
    held_out = {(u.speaker, u.id) for u in corpus.split("test")}
    chosen = [(clip.speaker, clip.id) for clip in evaluation.clips]
    assert len(set(chosen)) == len(chosen) == 4
    assert set(chosen) <= held_out
    assert list(evaluation.speakers) == ["ann", "ben"]


def test_bits_are_computed_over_the_whole_clip_with_its_speaker(
    evaluation: Evaluation, odd: Voice, corpus: Corpus
) -> None:
    total, samples = 0.0, 0
    for clip in evaluation.clips:
        utterance = next(
            u for u in corpus.utterances if (u.speaker, u.id) == (clip.speaker, clip.id)
        )
        pcm, mel = corpus.read(utterance)
        speaker = torch.zeros(1, 3)
        speaker[0, CONFIG.speakers.index(clip.speaker)] = 1
        with torch.inference_mode():
            conditioning = odd.model.condition(mel[None], speaker)
            nats = odd.model.nll(pcm[None].float() / 32768, conditioning)
        expected = float(nats.double().mean()) / np.log(2)
        assert clip.bits_per_sample == pytest.approx(expected, rel=1e-5)
        assert clip.samples == utterance.samples
        total, samples = total + expected * clip.samples, samples + clip.samples
    assert evaluation.overall.bits_per_sample == pytest.approx(total / samples, rel=1e-5)


def test_speakers_have_equal_weight(evaluation: Evaluation) -> None:
    for system in SYSTEMS:
        means = []
        for speaker, own in evaluation.speakers.items():
            values = [
                clip.metrics[system].mcd_db for clip in evaluation.clips if clip.speaker == speaker
            ]
            means.append(float(np.mean(values)))
            assert own.metrics[system].mcd_db == pytest.approx(means[-1])
        assert evaluation.overall.metrics[system].mcd_db == pytest.approx(np.mean(means))


def test_griffin_lim_beats_an_untrained_voice(evaluation: Evaluation) -> None:
    overall = evaluation.overall.metrics
    for name in ("mcd_db", "log_spectral_distance_db", "mel_spectral_distance_db"):
        assert getattr(overall["griffin_lim"], name) < getattr(overall["wavenet"], name)


def test_the_same_seed_gives_the_same_evaluation(
    evaluation: Evaluation, odd: Voice, corpus: Corpus
) -> None:
    again = evaluate(odd, corpus, per_speaker=2, seed=5)
    assert all(not clip.audio for clip in again.clips)
    clips = tuple(clip.model_copy(update={"audio": {}}) for clip in evaluation.clips)
    assert again == evaluation.model_copy(update={"clips": clips})


def test_the_evaluation_survives_json(evaluation: Evaluation, tmp_path: Path) -> None:
    write_json(tmp_path / "evaluation.json", evaluation)
    text = (tmp_path / "evaluation.json").read_text(encoding="utf-8")
    assert Evaluation.model_validate_json(text) == evaluation


def test_the_report_shows_spectrograms_and_marks_the_best_value(
    evaluation: Evaluation, folder: Path
) -> None:
    page = write_report(folder, evaluation).read_text(encoding="utf-8")
    assert (folder / PAGE_FILE).is_file()
    assert page.count("![Spectrograms of ") == 4
    for clip in evaluation.clips:
        assert f"({clip.speaker}/{clip.id}.png)" in page
        assert (folder / clip.speaker / f"{clip.id}.png").read_bytes().startswith(b"\x89PNG")
        recording, rate = audio.read(folder / clip.audio["recording"])
        assert (len(recording), rate) == (clip.samples, RATE)
    best = min(metrics.mcd_db for metrics in evaluation.overall.metrics.values())
    assert f"**{best:.2f}**" in page
    assert "Griffin-Lim" in summary(evaluation)


def test_a_report_without_audio_has_tables_only(evaluation: Evaluation, tmp_path: Path) -> None:
    clips = tuple(clip.model_copy(update={"audio": {}}) for clip in evaluation.clips)
    page = write_report(tmp_path, evaluation.model_copy(update={"clips": clips}))
    assert "Spectrograms" not in page.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == [PAGE_FILE]


def test_a_corpus_that_does_not_fit_is_refused_and_nothing_is_written(
    odd: Voice, corpus: Corpus, tmp_path: Path
) -> None:
    fewer = save_voice(
        tmp_path / "voices" / "fewer", CONFIG.model_copy(update={"speakers": ("ann",)})
    )
    features = CONFIG.features.model_copy(update={"f_max_hz": 3800.0})
    other = save_voice(
        tmp_path / "voices" / "other", CONFIG.model_copy(update={"features": features})
    )
    report = tmp_path / "report"
    with pytest.raises(NotFoundError, match="'ben' is unknown: voice odd has ann"):
        evaluate(fewer, corpus, audio_dir=report)
    with pytest.raises(FeatureError, match=r"f_max_hz 4000.0, the voice needs 3800.0"):
        evaluate(other, corpus, audio_dir=report)
    with pytest.raises(UserError, match="at least 1"):
        evaluate(odd, corpus, per_speaker=0, audio_dir=report)
    with pytest.raises(UserError, match="seed -1"):
        evaluate(odd, corpus, seed=-1, audio_dir=report)
    with pytest.raises(EngineError, match="warp"):
        evaluate(odd, corpus, engine="warp", audio_dir=report)
    train = tuple(u for u in corpus.utterances if u.split == "train")
    untested = Corpus(corpus.folder, corpus.features, corpus.speakers, train)
    with pytest.raises(CorpusError, match="no utterance in the test split"):
        evaluate(odd, untested, audio_dir=report)
    assert not report.exists()


def test_a_damaged_voice_in_the_next_folder_does_not_matter(corpus: Corpus, tmp_path: Path) -> None:
    healthy = save_voice(tmp_path / "odd", CONFIG)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / voice.MANIFEST).write_text("{", encoding="utf-8")
    assert len(evaluate(healthy, corpus, per_speaker=1).clips) == 2


def test_a_linguistic_voice_is_measured_on_aligned_clips(toy: Toy, tmp_path: Path) -> None:
    linguistic = ConditioningConfig(
        kind="linguistic", linguistic_channels=CHANNELS, encoder_channels=6, channels=6
    )
    config = ModelConfig(
        features=toy.corpus.features,
        stack=SMALL,
        conditioning=linguistic,
        speakers=toy.corpus.speakers,
    )
    speaks = save_voice(tmp_path / "l", config)
    result = evaluate(speaks, toy.corpus, per_speaker=1)
    aligned = {(u.speaker, u.id) for u, _ in aligned_utterances(toy.corpus, "test")}
    assert {(clip.speaker, clip.id) for clip in result.clips} <= aligned
    assert 0 < result.overall.bits_per_sample < 20
