"""Nothing written vanishes: every letter and digit matters to what is said."""

import contextlib
import random
import re
import string
import time
from collections.abc import Iterator

import pytest
from reading_table import front_end

from vocoder.errors import TextError
from vocoder.text import unread
from vocoder.text.characters import clean
from vocoder.text.markdown import without_markdown
from vocoder.text.normalisation.normalise import normalise
from vocoder.text.sentences import split_sentences

COUNT = 20_000
SIGNS = ".,;:!?'\"()[]{}<>/\\|-_+=*^~@#$%&§°£€±×÷≤≠√∞∈∩–—…  "
ALPHABETS = (
    string.ascii_lowercase + " " * 4,
    string.ascii_letters + string.digits + SIGNS,
    string.digits + ".,-/: $%kmMhsx",
    "aAdDsStTrR.1235 IVXx",
    "xyabn0123456789+-*/=^()_ ",
)
UNREAD = re.compile(
    "|".join(
        (unread.TAG, unread.CLOSING_TAG, unread.EMOTICON, unread.LINK_TARGET,
         unread.FOOTNOTE_MARK, r"['~`]{3}", r"\\[A-Za-z]", r"(?i:https?:|ftp:|file:|mailto:)")
    ).replace("(?m)", "")
)  # fmt: skip


def texts(count: int, longest: int) -> Iterator[str]:
    draw = random.Random(11)
    for _ in range(count):
        alphabet = draw.choice(ALPHABETS)
        yield "".join(draw.choice(alphabet) for _ in range(draw.randint(1, longest)))


def words(text: str) -> list[str]:
    """The words and stops that a text is read as."""
    plain = without_markdown(clean(text))
    return [normalise(sentence.text) for sentence in split_sentences(plain)]


def changed(text: str, position: int, draw: random.Random) -> str:
    """The text with another letter or digit at a position."""
    char = text[position]
    kinds = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
    others = next(kind for kind in kinds if char in kind).replace(char, "")
    return text[:position] + draw.choice(others) + text[position + 1 :]


def unheard(text: str, draw: random.Random) -> str | None:
    """A text that differs in one letter or digit but is read the same; None if there is none."""
    positions = [index for index, char in enumerate(text) if char.isalnum()]
    if not positions or UNREAD.search(text):
        return None
    other = changed(text, draw.choice(positions), draw)
    return other if not UNREAD.search(other) and words(text) == words(other) else None


def test_every_letter_and_digit_is_heard() -> None:
    draw = random.Random(12)
    pairs = ((text, unheard(text, draw)) for text in texts(COUNT, 10))
    assert [pair for pair in pairs if pair[1] is not None] == []


def test_only_meant_errors_are_raised() -> None:
    for text in texts(1_000, 40):
        with contextlib.suppress(TextError):
            list(front_end().sentences(text))


def test_words_hold_no_digit_or_sign() -> None:
    for text in texts(1_000, 40):
        for sentence in words(text):
            assert all(char.isalpha() or char in " ',.?!" for char in sentence), text


def test_a_vanishing_digit_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "vocoder.text.normalisation.normalise"
    monkeypatch.setattr(f"{module}.read_tokens", lambda text: re.sub(r"\d", "", text))
    draw = random.Random(12)
    assert any(unheard(text, draw) for text in ("a1b", "x9", "Qw3n", "b2b") * 5)


def test_cost_is_linear() -> None:
    text = (
        "We paid $3.50 for 2 1/2 lbs at 5 p.m. on Jan. 3, see https://a.com/b. And then we left. "
    )

    def cost(length: int) -> float:
        repeated = (text * (length // len(text) + 1))[:length]
        start = time.process_time()
        list(front_end().sentences(repeated))
        return time.process_time() - start

    cost(5_000)
    assert cost(50_000) < 20 * cost(5_000)
