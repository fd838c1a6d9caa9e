from atlas_outbox.relaying.horizon import Horizon, Look


def look(last_id: int, *writers: str) -> Look:
    return Look(last_id, frozenset(writers))


def test_one_look_proves_nothing():
    horizon = Horizon()
    horizon.saw(look(10))
    assert horizon.settled == 0


def test_ids_are_settled_when_the_writers_of_the_first_look_have_ended():
    horizon = Horizon()
    horizon.saw(look(10, "a", "b"))
    horizon.saw(look(20, "b", "c"))
    assert horizon.settled == 0
    horizon.saw(look(30, "c"))
    assert horizon.settled == 10
    horizon.saw(look(40, "c"))
    assert horizon.settled == 10
    horizon.saw(look(50))
    assert horizon.settled == 30


def test_a_floor_is_never_above_a_row_that_was_found():
    horizon = Horizon()
    horizon.saw(look(10))
    horizon.saw(look(20))
    assert (horizon.floor(None), horizon.floor(5), horizon.floor(15)) == (11, 5, 11)
