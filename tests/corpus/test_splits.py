from collections import Counter
from pathlib import Path

import pytest

from vocoder.corpus.readers import Recording
from vocoder.corpus.settings import PreparationConfig
from vocoder.corpus.splits import prompts_of, split_prompts


def recording(identifier: str, text: str | None = None, speaker: str = "ann") -> Recording:
    return Recording(identifier, speaker, Path("x.wav"), text)


def test_takes_and_speakers_share_an_arctic_prompt() -> None:
    recordings = [
        recording("arctic_a0001_1", "Author of it."),
        recording("arctic_a0001_2", "Author of it, etc."),
        recording("arctic_a0001", None, "ben"),
        recording("other", "author of it!", "cat"),
        recording("arctic_a0002", "Another."),
    ]
    assert prompts_of(recordings) == [*["arctic_a0001"] * 4, "arctic_a0002"]


def test_the_same_words_share_a_prompt_regardless_of_id() -> None:
    first, second, third = prompts_of(
        [
            recording("p225_001", "Please, call Stella."),
            recording("p226_007", "please call  stella", "ben"),
            recording("p226_008", "Please call her", "ben"),
        ]
    )
    assert first == second != third


def test_without_text_the_recording_is_its_own_prompt() -> None:
    recordings = [recording("a"), recording("a", None, "ben"), recording("b", "...")]
    assert len(set(prompts_of(recordings))) == 3


def test_prompts_chained_by_text_and_id_are_one() -> None:
    recordings = [
        recording("arctic_b0001", "same"),
        recording("arctic_a0007", "same"),
        recording("arctic_a0007_2", "nearly the same"),
        recording("x", "nearly the same"),
    ]
    assert set(prompts_of(recordings)) == {"arctic_a0007"}


def test_splits_have_their_size_and_keep_prompts_when_the_corpus_grows() -> None:
    settings = PreparationConfig(validation_fraction=0.1, test_fraction=0.05)
    prompts = {f"prompt {number}" for number in range(20000)}
    grown = split_prompts(prompts | {f"new {number}" for number in range(5000)}, settings)
    before = split_prompts(prompts, settings)
    assert all(grown[prompt] == split for prompt, split in before.items())
    counts = Counter(before.values())
    # The fraction of hashed prompts has a standard deviation of 0.002 here.
    assert counts["validation"] / len(prompts) == pytest.approx(0.1, abs=0.01)
    assert counts["test"] / len(prompts) == pytest.approx(0.05, abs=0.01)


def test_small_corpus_has_every_requested_split() -> None:
    three = {"a", "b", "c"}
    assert set(split_prompts(three, PreparationConfig()).values()) == {
        "train",
        "validation",
        "test",
    }
    unsplit = PreparationConfig(validation_fraction=0.0, test_fraction=0.0)
    assert set(split_prompts(three, unsplit).values()) == {"train"}
    assert split_prompts({"only"}, PreparationConfig()) == {"only": "train"}
