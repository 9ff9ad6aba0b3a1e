"""What may be declared in [feed.words]."""

import pytest

from schemas.errors import ConfigError
from transforms.words import compile_words


@pytest.mark.parametrize(
    "words",
    [
        {"in stock": "unknwon"},
        {"in stock": -1},
        {"in stock": "some"},
        {"": 0},
        {"{n}": "{n}"},
        {"9{n}": "{n}"},
        {"{n}-{n}": "{n}"},
        {"In Stock": 1, "in stock": 2},
    ],
)
def test_a_word_without_a_usable_meaning_is_a_config_error(words: dict[str, int | str]) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_words(words)
    assert "[feed.words]" in caught.value.message
    assert caught.value.hint


def test_a_misspelt_unknown_is_suggested() -> None:
    with pytest.raises(ConfigError, match='Did you mean "unknown"'):
        compile_words({"call": "unknwon"})


def test_words_compare_without_case_in_every_script() -> None:
    words = compile_words({"Straße": 1, "ΣΑΣ": 2})
    assert set(words.exact) == {"strasse", "σασ"}
