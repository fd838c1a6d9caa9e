"""When two definitions are the same schema."""

from atlas_gateway.registry import _comparable


def test_documentation_and_the_way_a_name_is_written_do_not_count() -> None:
    fields = [{"name": "f", "type": "int", "doc": "e"}]
    one = {"type": "record", "name": "A", "namespace": "x", "doc": "d", "fields": fields}
    other = {"name": "x.A", "type": "record", "fields": [{"type": "int", "name": "f"}]}
    assert _comparable(one) == _comparable(other)


def test_types_and_names_do() -> None:
    one = {"type": "record", "name": "x.A", "fields": [{"name": "f", "type": "int"}]}
    for other in (
        {"type": "record", "name": "x.B", "fields": one["fields"]},
        {"type": "record", "name": "x.A", "fields": [{"name": "f", "type": "long"}]},
        {"type": "record", "name": "x.A", "fields": []},
    ):
        assert _comparable(one) != _comparable(other)


def test_nor_does_how_a_type_is_referred_to() -> None:
    inner = {"type": "record", "name": "In", "namespace": "x", "fields": [{"name": "f", "type": ["null", "In"]}]}
    one = {"type": "record", "name": "x.A", "fields": [{"name": "f", "type": inner}, {"name": "g", "type": "In"}]}
    whole = {"type": "record", "name": "x.In", "fields": [{"name": "f", "type": ["null", "x.In"]}]}
    other = {"type": "record", "name": "x.A", "fields": [{"name": "f", "type": whole}, {"name": "g", "type": "x.In"}]}
    assert _comparable(one) == _comparable(other)
