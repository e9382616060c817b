"""Texts for the load tests: endless sentences of every length."""

import random
from collections.abc import Iterator

SENTENCES = (
    "The harbour was quiet before the first boats came in.",
    "She counted the steps twice and still arrived at a different number.",
    "Rain had been falling since early morning, and nobody in the valley expected it to stop.",
    "Please close the window.",
    "A narrow path leads from the mill to the old stone bridge.",
    "It was half past seven when the last train left the station.",
    "Why would anyone paint a lighthouse green?",
    "Two brothers kept bees on the roof of a theatre, and sold the honey in the foyer.",
    "Thank you, that is all.",
    "The teacher asked whether the answer could be found without a calculator.",
    "Most of the letters had been opened, read and carefully folded again.",
    "In 1962 the village had 340 inhabitants, two bakers and no telephone.",
    "He laughed.",
    "When the ice on the lake is thick enough, they clear a square of it and play until dark.",
    "The engine coughed, caught, and settled into an even hum.",
    "Nobody could say where the music came from.",
    "Take the second street on the left, then ask again.",
    "Her grandfather had built clocks, and every one of them was slightly fast.",
    "The market opens at six, but the good bread is gone by seven.",
    "Seven grey geese crossed the field in a line.",
    "Is there still some soup?",
    "A photograph of the whole crew hung above the stove, curling at the corners.",
    "They measured the room, moved the piano, and measured it once more.",
    "The snow made the road, the hedge and the ditch look the same.",
    "Every evening the ferry brings newspapers, and takes back the empty bottles.",
    "I would rather walk.",
    "The judge read the sentence slowly, as if it were written in a foreign language.",
    "Under the floor they found a box of coins, a map and a child's shoe.",
    "Good morning, everyone.",
    "The recipe asks for three eggs, a little salt, and more patience than most people have.",
    "Far below, the river turned silver, then red, then black.",
    "Somebody had left a bicycle against the gate.",
    "What the old man sold was not tea, and what he gave away was not advice.",
    "The lift stopped between two floors, and for a while nobody spoke.",
    "Her first novel was refused eleven times.",
    "The wind moved the curtains, and the dog lifted its head.",
    "Write the number down before you forget it.",
    "By the end of the week the pears were ripe enough to fall.",
)

SHORT = tuple(sentence for sentence in SENTENCES if len(sentence) < 30)

PASSAGE = (
    "The harbour was quiet before the first boats came in. In 1962 the village had 340 "
    "inhabitants, two bakers and no telephone. Why would anyone paint a lighthouse green? "
    "He laughed."
)
"""A few fixed sentences."""


def talk(seed: int, sentences: int = 2) -> Iterator[str]:
    """Endless utterances of ``sentences`` sentences, in an order that depends on the seed."""
    order = random.Random(seed)
    while True:
        yield " ".join(order.sample(SENTENCES, sentences))
