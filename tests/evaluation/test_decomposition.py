"""The decomposition with an untrained voice on the toy corpus."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIGS, Toy, random_acoustic_model, random_model

from vocoder.acoustic.model import Prosody
from vocoder.acoustic.rendering import render
from vocoder.audio import io as audio
from vocoder.corpus.shards import aligned_utterances
from vocoder.errors import TextError
from vocoder.evaluation import decomposition
from vocoder.voices import voice
from vocoder.voices.voice import Voice


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    model = random_model(CONFIGS["mu_law"].model_copy(update={"speakers": ("ann", "ben")}))
    folder = tmp_path_factory.mktemp("reader") / "toy"
    manifest = voice.VoiceManifest(id="toy", model=model.config, weights={})
    voice.save(folder, model, manifest, random_acoustic_model(model.config.features, 2))
    return voice.load(folder)


def test_every_stage_is_written_and_measured(toy: Toy, reader: Voice, tmp_path: Path) -> None:
    found = decomposition.decompose(reader, toy.corpus, tmp_path, per_speaker=2)
    assert found.sentences == {"ann": 2, "ben": 2}
    texts = dict(line.split("|") for line in (tmp_path / "texts.txt").read_text().splitlines())
    hop = reader.config.features.hop_length
    for speaker, stages in found.speakers.items():
        assert list(stages) == list(decomposition.STAGES)
        lengths = {}
        for stage, own in stages.items():
            assert own.contrast > 0
            assert own.motion > 0
            paths = sorted((tmp_path / speaker / stage).glob("*.wav"))
            assert {path.stem for path in paths} <= texts.keys()
            assert len(paths) == 2
            lengths[stage] = [len(audio.read(path)[0]) for path in paths]
        frames = [-(-count // hop) for count in lengths["recording"]]
        for stage in ("copy", "own_prosody", "own_durations"):
            assert lengths[stage] == [hop * count for count in frames], stage
        assert lengths["predicted"] != lengths["own_durations"]
    assert "copy of its mel" in decomposition.summary(found)
    again = decomposition.Decomposition.model_validate_json(found.model_dump_json())
    assert again == found


def test_a_voice_without_an_acoustic_model_is_refused(
    toy: Toy, reader: Voice, tmp_path: Path
) -> None:
    with pytest.raises(TextError, match="no acoustic model"):
        decomposition.decompose(replace(reader, acoustic=None), toy.corpus, tmp_path)


def test_the_prosody_that_is_given_is_spoken(toy: Toy, reader: Voice) -> None:
    _, aligned = aligned_utterances(toy.corpus, "test")[0]
    durations = torch.tensor(aligned.durations)
    frames = int(durations.sum())
    assert reader.acoustic is not None
    log_f0 = torch.full((1, frames), float(np.log(200.0)))
    prosody = Prosody(log_f0, torch.ones(1, frames), torch.ones(1, frames))
    sentence = aligned.read_sentence
    given = render(reader.acoustic, sentence, 0, durations=durations, prosody=prosody)
    voiced = given.f0[given.f0 > 0]
    assert len(voiced)
    assert np.allclose(voiced, 200.0)
    with pytest.raises(TextError, match=f"prosody has {frames} frames"):
        render(reader.acoustic, sentence, 0, durations=durations + 1, prosody=prosody)
