"""The records of one uncompressed block, originals restored.

Written out by hand, and with its loops inlined, because it is the whole cost of reading an archive: fastavro, which
builds a dictionary for each record and each header, takes twice as long for records with the usual eight headers.
"""

from atlas_avro.varints import read_long, read_unsigned

from atlas_archive.format.headers import Headers, HeaderShapes
from atlas_archive.format.records import Record


def read_block(data: bytes, count: int, prefix: bytes | None, shapes: HeaderShapes, odd: str) -> list[Record]:
    """`count` records laid out as layout.py says, which must fill `data`.

    Values get `prefix` in front (see `layout.framing`); None means a raw file's, which are a union of null and bytes.
    `shapes` are those of the file, `odd` is how names that are not UTF-8 read. Raises IndexError or ValueError for
    other bytes.
    """
    records, at = [], 0
    names: dict[bytes, str] = {}
    timestamps: dict[bytes, int] = {}
    new = tuple.__new__  # what Record's own __new__ does, at a third of its cost
    for _ in range(count):
        byte = data[at]
        at += 1
        zigzag, shift = byte & 127, 7
        while byte > 127:
            byte = data[at]
            at += 1
            zigzag |= (byte & 127) << shift
            shift += 7
        end = at
        while data[end] > 127:
            end += 1
        end += 1
        timestamp = timestamps.get(data[at:end])
        if timestamp is None:
            timestamp = timestamps[data[at:end]] = read_long(data, at)[0]
        key, at = _optional_bytes(data, end)
        headers: Headers = ()
        if data[at] == 0:
            at += 1
        elif prefix is None:
            headers, at = _nullable_headers(data, at, names, odd)
        else:
            headers, at = shapes.read(data, at)
            if data[at]:
                raise ValueError("headers in a form that is never written")
            at += 1
        size = data[at]
        if size < 128:
            at += 1
        else:
            size, at = read_unsigned(data, at)
        end = at + (size >> 1)
        value = _raw_value(data, at, end) if prefix is None else prefix + data[at:end]
        at = end
        records.append(new(Record, (zigzag >> 1, timestamp, key, headers, value)))
    if at != len(data):
        raise ValueError(f"its records take {at} bytes of {len(data)}")
    return records


def _nullable_headers(data: bytes, at: int, names: dict[bytes, str], odd_names: str) -> tuple[Headers, int]:
    headers: list[tuple[str, bytes | None]] = []
    while True:
        count, at = read_long(data, at)
        if count == 0:
            return tuple(headers), at
        if count < 0:
            raise ValueError("headers in a form that is never written")
        for _ in range(count):
            size = data[at]
            if size < 128:
                at += 1
            else:
                size, at = read_unsigned(data, at)
            end = at + (size >> 1)
            name = names.get(data[at:end])
            if name is None:
                name = names[data[at:end]] = data[at:end].decode(errors=odd_names)
            branch = data[end]
            at = end + 1
            if branch == 2:
                size = data[at]
                if size < 128:
                    at += 1
                else:
                    size, at = read_unsigned(data, at)
                end = at + (size >> 1)
                headers.append((name, data[at:end]))
                at = end
            elif branch == 0:
                headers.append((name, None))
            else:
                raise ValueError(f"a union has no branch {branch}")


def _optional_bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    """A union of null and bytes, and the place after it."""
    branch = data[at]
    if branch == 0:
        return None, at + 1
    if branch != 2:
        raise ValueError(f"a union has no branch {branch}")
    size = data[at + 1]
    if size < 128:
        at += 2
    else:
        size, at = read_unsigned(data, at + 1)
    end = at + (size >> 1)
    return data[at:end], end


def _raw_value(data: bytes, at: int, end: int) -> bytes | None:
    value, after = _optional_bytes(data, at)
    if after != end:
        raise ValueError("a raw value of another length than is said")
    return value
