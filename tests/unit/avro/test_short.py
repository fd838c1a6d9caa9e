"""Short words are types that mean what they say."""

import pytest
from atlas_avro.short import SHORT, decimal, digits_of
from atlas_avro.table import logical, meaning


@pytest.mark.parametrize("word", sorted(SHORT))
def test_each_word_is_a_type_with_a_meaning(word: str) -> None:
    found = meaning(SHORT[word])
    assert found is not None
    assert found.name.startswith(word)


def test_decimals() -> None:
    assert logical(decimal(9, 2)) == "decimal"
    assert digits_of(decimal(9, 2)) == (9, 2)
    assert digits_of({"type": "bytes", "logicalType": "decimal", "precision": 4}) == (4, 0)
    assert logical(decimal(2, 3)) is None
