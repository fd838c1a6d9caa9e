"""Names of one thing in each of its places."""

import pytest
from atlas_cli.scaffold import naming
from atlas_cli.terminal.output import CommandError


@pytest.mark.parametrize(
    ("name", "snake", "kebab"),
    [
        ("SeatBooked", "seat_booked", "seat-booked"),
        ("HTTPCalled", "http_called", "http-called"),
        ("seat_booked", "seat_booked", "seat-booked"),
        ("A1Sauce", "a1_sauce", "a1-sauce"),
    ],
)
def test_forms(name: str, snake: str, kebab: str) -> None:
    assert (naming.snake(name), naming.kebab(name)) == (snake, kebab)


@pytest.mark.parametrize(
    ("word", "many"),
    [("booking", "bookings"), ("country", "countries"), ("day", "days"), ("address", "addresses"), ("box", "boxes")],
)
def test_plurals(word: str, many: str) -> None:
    assert naming.plural(word) == many


@pytest.mark.parametrize(
    "text", ["", "Bookings", "1st", "a-b", "a_b", "a.b", "x" * 33, "class", "health", "outbox", "../up", "a\n"]
)
def test_what_is_no_context_is_refused_by_name(text: str) -> None:
    with pytest.raises(CommandError) as refused:
        naming.context_name(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    "text", ["bookings", "bookings.", ".X", "bookings.seatBooked", "bookings.Seat Booked", "b.S.T", "b.É"]
)
def test_what_is_no_event_is_refused_by_name(text: str) -> None:
    with pytest.raises(CommandError):
        naming.type_name(text, "an event", "bookings.SeatBooked")


@pytest.mark.parametrize("text", ["bookings", "bookings.Seats", "bookings.seats;", "b.import", "b._x", "b.x__y"])
def test_what_is_no_projection_is_refused(text: str) -> None:
    with pytest.raises(CommandError):
        naming.read_model_name(text)


def test_what_a_key_is_of() -> None:
    assert (naming.entity_of("booking_id"), naming.entity_of("code")) == ("booking", "code")
