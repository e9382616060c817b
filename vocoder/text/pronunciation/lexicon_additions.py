"""Words that are missing from the lexicon or wrong in it, in IPA."""

ADDITIONS = {
    "airbnb": "ˈɛɹbiˌɛnbˌi",
    "airdrop": "ˈɛɹdɹˌɑp",
    "covid": "kˈoʊvɪd",
    "cryptocurrency": "kɹˈɪptoʊkˌɚənsi",
    "ebook": "ˈibˌʊk",
    "emoji": "ɪmˈoʊd͡ʒi",
    "emojis": "ɪmˈoʊd͡ʒiz",
    "gif": "ɡˈɪf",
    "gifs": "ɡˈɪfs",
    "gigahertz": "ɡˈɪɡəhˌɚts",
    "jpeg": "d͡ʒˈeɪpˌɛɡ",
    "jpegs": "d͡ʒˈeɪpˌɛɡz",
    "kilohertz": "kˈɪləhˌɚts",
    "kubernetes": "kˌubɚnˈɛtiz",
    "megahertz": "mˈɛɡəhˌɚts",
    "microsecond": "mˈaɪkɹoʊsˌɛkənd",
    "microseconds": "mˈaɪkɹoʊsˌɛkəndz",
    "recounting": "ɹɪkˈaʊntɪŋ",
    "vale": "vˈeɪl",
}
"""Pronunciations by lower-case spelling."""

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
