"""Numbers in words: cardinals, ordinals, years, fractions and Roman numerals."""

import pytest

from vocoder.text.normalisation.numbers import cardinal, decade, fraction, ordinal, roman, year


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("0", "zero"),
        ("110", "one hundred ten"),
        ("1,000,001", "one million one"),
        ("12.50", "twelve point five zero"),
        ("0123", "zero one two three"),
        ("1234567890", "one two three four five six seven eight nine zero"),
    ],
)
def test_cardinal(number: str, words: str) -> None:
    assert cardinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (476, "four hundred seventy six"),
        (1066, "ten sixty six"),
        (1800, "eighteen hundred"),
        (1905, "nineteen oh five"),
        (2000, "two thousand"),
        (2009, "two thousand nine"),
        (2010, "twenty ten"),
    ],
)
def test_year(number: int, words: str) -> None:
    assert year(number) == words


def test_decade_ordinal_and_fraction() -> None:
    assert [decade(1960), decade(2000), decade(2010)] == [
        "nineteen sixties",
        "two thousands",
        "twenty tens",
    ]
    assert [ordinal(1), ordinal(12), ordinal(103)] == ["first", "twelfth", "one hundred third"]
    assert [fraction(1, 2), fraction(3, 2), fraction(5, 8)] == [
        "one half",
        "three halves",
        "five eighths",
    ]


@pytest.mark.parametrize(
    ("written", "number"),
    [("I", 1), ("IV", 4), ("XIV", 14), ("XLII", 42), ("MCMXCIX", 1999), ("IIX", None), ("", None)],
)
def test_roman(written: str, number: int | None) -> None:
    assert roman(written) == number
