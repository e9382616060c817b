"""Group recordings by prompt and split by prompt, so that no text is in two splits."""

import hashlib
import re
from collections.abc import Sequence

from vocoder.corpus.readers import Recording
from vocoder.corpus.settings import PreparationConfig
from vocoder.corpus.utterances import Split

# Ids of CMU ARCTIC and corpora with its prompts: arctic_a0001, or arctic_a0001_2 for take 2.
_ARCTIC_ID = re.compile(r"([a-z]+_[ab]\d{4})(_\d+)?", re.IGNORECASE)


def prompts_of(recordings: Sequence[Recording]) -> list[str]:
    """The prompt of each recording; the same text always has the same prompt.

    Recordings with the same transcript, or with the same ARCTIC prompt in their ids, are grouped
    (takes and speakers may differ by a word). The prompt is named after the ARCTIC prompt if there
    is one, else after a hash of the words, else after speaker and id.
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
        # The prefix makes ARCTIC prompts sort first, so that they name their group.
        names = [f"0 {arctic[1].lower()}"] if arctic else []
        if words:
            names.append(f"1 text-{hashlib.sha256(words.encode()).hexdigest()[:16]}")
        keys.append(names[0] if names else f"2 {recording.speaker}/{recording.id}")
        for name in names[1:]:
            first, second = sorted((root(keys[-1]), root(name)))
            parents[second] = first
    return [root(key).split(" ", 1)[1] for key in keys]


def split_prompts(prompts: set[str], settings: PreparationConfig) -> dict[str, Split]:
    """Split by a hash of the prompt, so that a prompt keeps its split when the corpus grows.

    If the hash leaves a split empty, as in a small corpus, the nearest prompt is moved into it.
    """
    position = {p: int(hashlib.sha256(p.encode()).hexdigest()[:13], 16) / 16**13 for p in prompts}
    ordered = sorted(prompts, key=lambda prompt: (position[prompt], prompt))
    splits: dict[str, Split] = dict.fromkeys(ordered, "train")
    limit = 0.0
    wanted: tuple[tuple[Split, float], ...] = (
        ("test", settings.test_fraction),
        ("validation", settings.validation_fraction),
    )
    for name, fraction in wanted:
        limit += fraction
        left = [prompt for prompt in ordered if splits[prompt] == "train"]
        chosen = [prompt for prompt in left if position[prompt] < limit]
        if fraction and not chosen and len(left) > 1:
            chosen = left[:1]
        splits.update(dict.fromkeys(chosen, name))
    return splits
