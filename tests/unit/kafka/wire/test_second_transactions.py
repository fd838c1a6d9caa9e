"""What a cluster agreed on is read out of an answer's tags."""

from atlas_kafka.wire.second_transactions import ApiVersions, EndTransaction, transaction_version


def test_the_version_of_transactions_is_among_the_features() -> None:
    kind = ApiVersions().prepare({18: (0, 3)}).RESPONSE_TYPE
    name = b"transaction.version"
    features = b"\x02" + bytes((len(name) + 1,)) + name + b"\x00\x02\x00\x01" + b"\x00"
    assert transaction_version(kind(0, [], 0, {2: features})) == 2
    assert transaction_version(kind(0, [], 0, {})) == 0


def test_a_commit_names_its_producer() -> None:
    request = EndTransaction("relay", 7, 3, True).prepare({26: (0, 5)})
    assert request.encode() == b"\x06relay" + (7).to_bytes(8, "big") + b"\x00\x03" + b"\x01" + b"\x00"
