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
