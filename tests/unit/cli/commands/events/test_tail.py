"""One record as one line."""

from atlas_cli.commands.events.tail import render_line

RECORD = {
    "topic": "hauls.events",
    "partition": 2,
    "offset": 17,
    "timestamp": "2013-01-01T10:15:00.000Z",
    "key": "UA1",
    "headers": {},
}


def test_an_event_is_shown_with_its_place_and_value() -> None:
    line = render_line({**RECORD, "type": "hauls.HaulCancelled", "schema_id": 5, "value": {"carrier": "UA"}})
    assert line == '2013-01-01T10:15:00.000Z hauls.events/2@17 UA1 hauls.HaulCancelled {"carrier":"UA"}'


def test_a_record_that_can_not_be_decoded_is_shown_with_the_reason() -> None:
    line = render_line({**RECORD, "key": None, "type": None, "error": "not framed Avro", "bytes": "eA=="})
    assert line.endswith("hauls.events/2@17 (no key) UNDECODABLE not framed Avro; bytes (base64): eA==")
