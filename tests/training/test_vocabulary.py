"""The list of words beside Squire is that of its training, and holds every caption's words."""

import numpy as np

from limner.usecases.prompting import vocabulary
from limner.usecases.prompting.vocabulary import of_model, unlearned
from training import scene, words
from training.captions import caption
from training.vocabulary import FILE, known


def test_the_list_in_the_package_is_up_to_date():
    assert FILE.read_text().split() == known(), "run: python -m training.vocabulary"
    assert of_model(FILE.parent) == frozenset(known())


def test_it_holds_whatever_captions_say():
    rng = np.random.default_rng(2)
    texts = [caption(scene.sample(rng), rng)[0] for _ in range(2000)]
    kept_out = {word for text in words._NOT_KNOWN for word in vocabulary.words(text)}
    assert set(unlearned(texts, of_model(FILE.parent))) <= kept_out


def test_an_imp_was_never_taught():
    said = ["a red imp, Knight's café 8k", "IMP with a Sword", "marine"]
    assert unlearned(said, of_model(FILE.parent)) == ["imp", "café", "marine"]
