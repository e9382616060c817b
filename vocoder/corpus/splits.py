"""Prompts and splits: the same words are never on both sides of a split."""

import hashlib
import re
from collections.abc import Sequence

from vocoder.corpus.processing import PreparationConfig
from vocoder.corpus.readers import Recording
from vocoder.corpus.utterances import Split

# CMU ARCTIC and corpora that read its prompts: arctic_a0001, with _2 for the second take.
_ARCTIC_ID = re.compile(r"([a-z]+_[ab]\d{4})(_\d+)?", re.IGNORECASE)


def prompts_of(recordings: Sequence[Recording]) -> list[str]:
    """What each recording reads, such that equal words always have an equal prompt.

    Recordings with one transcript, or with one ARCTIC prompt in their ids, are joined (takes and
    speakers may differ in a word). The name is the ARCTIC prompt where there is one, else a hash of
    the words, else speaker and id.
    """
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while parents.setdefault(key, key) != key:
            key = parents[key]
        return key

    keys = []
    for recording in recordings:
        arctic = _ARCTIC_ID.fullmatch(recording.id)
        words = " ".join(re.findall(r"\w+", recording.text.casefold())) if recording.text else ""
        # Prefixed so that an ARCTIC prompt sorts first, and so gives a group its name.
        names = [f"0 {arctic[1].lower()}"] if arctic else []
        if words:
            names.append(f"1 text-{hashlib.sha256(words.encode()).hexdigest()[:16]}")
        keys.append(names[0] if names else f"2 {recording.speaker}/{recording.id}")
        for name in names[1:]:
            first, second = sorted((root(keys[-1]), root(name)))
            parents[second] = first
    return [root(key).split(" ", 1)[1] for key in keys]


def split_prompts(prompts: set[str], settings: PreparationConfig) -> dict[str, Split]:
    """Split by a hash of the prompt, so that a prompt stays where it is when the corpus grows.

    Only where the hash leaves a wanted split empty, as in a small corpus, the nearest prompt is
    taken into it.
    """
    place = {p: int(hashlib.sha256(p.encode()).hexdigest()[:13], 16) / 16**13 for p in prompts}
    ordered = sorted(prompts, key=lambda prompt: (place[prompt], prompt))
    splits: dict[str, Split] = dict.fromkeys(ordered, "train")
    limit = 0.0
    wanted: tuple[tuple[Split, float], ...] = (
        ("test", settings.test_fraction),
        ("validation", settings.validation_fraction),
    )
    for name, fraction in wanted:
        limit += fraction
        left = [prompt for prompt in ordered if splits[prompt] == "train"]
        chosen = [prompt for prompt in left if place[prompt] < limit]
        if fraction and not chosen and len(left) > 1:
            chosen = left[:1]
        splits.update(dict.fromkeys(chosen, name))
    return splits
