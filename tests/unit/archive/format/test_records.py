"""What a consumer gives fits what the archive takes, and compares with what it gives back."""

from aiokafka import ConsumerRecord
from atlas_archive.format.container import read_file
from atlas_archive.format.records import Record
from atlas_archive.writing.batches import pack
from atlas_archive.writing.splicer import Splicer


def test_a_consumer_record_is_taken_as_it_is() -> None:
    headers = (("a", b"1"), ("a", None))
    consumed = ConsumerRecord("t", 0, 7, 1234, 0, b"k", b"v", None, 1, 1, headers)
    splicer = Splicer(lambda _: None)
    splicer.add([pack([consumed])])
    (file,) = splicer.finish()
    ((record,),) = read_file(b"".join(file.chunks), "x").blocks()
    assert record == Record(7, 1234, b"k", headers, b"v")
    assert record == (consumed.offset, consumed.timestamp, consumed.key, consumed.headers, consumed.value)
