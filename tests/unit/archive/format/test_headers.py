"""Headers by shape: the same answer as walking gives, for any headers, in any order of shapes."""

import pytest
from atlas_archive.format.headers import HeaderShapes, nullable_headers, walk
from atlas_archive.format.records import Record
from atlas_archive.writing.batches import pack, places
from hypothesis import given, settings
from hypothesis import strategies as st

_headers = st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=3).map(tuple)
Headers = tuple[tuple[str, bytes | None], ...]


def packed(headers: Headers) -> bytes:
    data = pack([Record(0, 0, None, headers, None)]).data()
    ((*_, at, end),) = places(data, 1)
    return data[at:end]


@settings(max_examples=200)
@given(st.lists(_headers, max_size=20), st.binary(max_size=4))
def test_any_headers_in_any_order(cases: list[Headers], around: bytes) -> None:
    writing, reading = HeaderShapes(), HeaderShapes()
    for headers in cases + cases:
        data = packed(headers)
        inside = around + data + around
        whole = bool(headers) and all(value is not None for _, value in headers)
        assert writing.are_whole(inside, len(around), len(around + data)) is whole
        if whole:
            assert reading.read(inside, len(around)) == (headers, len(around + data))
        names, values, after = walk(inside, len(around))
        assert (tuple(zip([n.decode() for n in names], values, strict=True)), after) == (headers, len(around + data))


def test_lengths_without_end_are_walked_and_not_remembered() -> None:
    shapes = HeaderShapes()
    for size in range(300):
        headers = (("h", b"v" * size),)
        assert shapes.read(packed(headers), 0)[0] == headers
    assert shapes._compiled <= 64
    assert len(shapes._shapes) <= 8


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x02\x02", b"\x02\x02a\x04x", b"\x01", b"\x02\x01\x02x"])
def test_other_bytes_are_refused(data: bytes) -> None:
    for act in (lambda: HeaderShapes().read(data, 0), lambda: HeaderShapes().are_whole(data, 0, len(data))):
        with pytest.raises((ValueError, IndexError)):
            act()


def test_a_null_value_does_not_belong_in_a_typed_file() -> None:
    with pytest.raises(ValueError, match="without a value"):
        HeaderShapes().read(packed((("a", None),)), 0)


def test_headers_of_a_raw_file() -> None:
    assert nullable_headers(b"\0", 0, 1) == (b"\0", True)
    data = packed((("é", None), ("a", b"x")))
    whole = b"\x04" + b"\x04\xc3\xa9\0" + b"\x02a\x02\x02x" + b"\0"
    assert nullable_headers(data, 0, len(data)) == (whole, True)
    with pytest.raises(ValueError, match="headers end at"):
        nullable_headers(data + b"\0", 0, len(data) + 1)


def test_names_that_are_not_utf8_belong_in_no_typed_file() -> None:
    data = b"\x02\x02\xff\x02x"
    assert not HeaderShapes().are_whole(data, 0, len(data))
    assert nullable_headers(data, 0, len(data)) == (b"\x02\x02\xff\x02\x02x\0", False)
    with pytest.raises(ValueError, match="decode"):
        HeaderShapes().read(data, 0)


@pytest.mark.parametrize("count", [33, 1000])
def test_no_expression_is_compiled_for_many_headers(count: int) -> None:
    shapes = HeaderShapes()
    headers = tuple((f"h{i}", b"v") for i in range(count))
    data = packed(headers)
    assert shapes.are_whole(data, 0, len(data))
    assert shapes.read(data, 0) == (headers, len(data))
    assert (shapes._compiled, shapes._shapes, shapes.names) == (0, [], ())


def test_no_expression_is_compiled_for_long_names() -> None:
    shapes = HeaderShapes()
    data = packed((("n" * 10_000, b"v"),))
    assert shapes.are_whole(data, 0, len(data))
    assert shapes._compiled == 0
