"""Words that the lexicon lacks or gets wrong: ``additions.tsv``, and readings by part of speech."""

from pathlib import Path

READINGS = {
    "bow": {"NN": "bˈoʊ", "VB": "bˈaʊ"},
    "contract": {"NN": "kˈɑntɹˌækt", "VB": "kəntɹˈækt"},
    "contracts": {"NN": "kˈɑntɹˌækts", "VB": "kəntɹˈækts"},
    "polish": {"NN": "pˈɑlɪʃ", "VB": "pˈɑlɪʃ", "JJ": "pˈoʊlɪʃ", "NNP": "pˈoʊlɪʃ"},
    "tear": {"NN": "tˈɪɹ", "VB": "tˈɛɹ"},
    "tears": {"NN": "tˈɪɹz", "VB": "tˈɛɹz"},
}
"""Pronunciations by part of speech (Penn Treebank) that the lexicon lacks or gets wrong."""

SINGLE_READING = frozenset(
    {"de", "do", "does", "maas", "marked", "nemo", "nice", "re", "real", "thou", "were", "won"}
)
"""Words read only in their first, common way; the tagger would pick the other one too often."""


def read_additions() -> dict[str, str]:
    """Pronunciations in IPA by spelling in lower case, with accents."""
    lines = Path(__file__).with_name("additions.tsv").read_text("utf-8").splitlines()
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))
