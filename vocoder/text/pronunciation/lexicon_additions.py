"""Words that the lexicon lacks or has wrong, in the IPA."""

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
"""Spelling, folded to small letters, and pronunciation."""

READINGS = {
    "bow": {"NN": "bˈoʊ", "VB": "bˈaʊ"},
    "contract": {"NN": "kˈɑntɹˌækt", "VB": "kəntɹˈækt"},
    "contracts": {"NN": "kˈɑntɹˌækts", "VB": "kəntɹˈækts"},
    "polish": {"NN": "pˈɑlɪʃ", "VB": "pˈɑlɪʃ", "JJ": "pˈoʊlɪʃ", "NNP": "pˈoʊlɪʃ"},
    "tear": {"NN": "tˈɪɹ", "VB": "tˈɛɹ"},
    "tears": {"NN": "tˈɪɹz", "VB": "tˈɛɹz"},
}
"""Words whose readings by part of speech (Penn Treebank) the lexicon lacks or has wrong."""

SINGLE_READING = frozenset(
    {"de", "do", "does", "maas", "marked", "nemo", "nice", "re", "real", "thou", "were", "won"}
)
"""Words of which only the first reading is common; the tagger would find the other too often."""
