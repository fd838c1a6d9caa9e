"""Where things lie in a record batch of format 2."""

import struct

# base offset, length, leader epoch, magic, crc, attributes, last offset delta, first and last timestamp,
# producer id, epoch and sequence, number of records
HEADER = struct.Struct(">qiibIhiqqqhii")
# As far as the checksum, and what the checksum is of.
BEFORE_CRC, AFTER_CRC = struct.Struct(">qiib"), struct.Struct(">hiqqqhii")
# As far as the last offset delta: which offsets the batch has.
SPAN = struct.Struct(">qiibIhi")
# base offset, length
PLACE = struct.Struct(">qi")
# The length counts what follows it; the checksum is of what follows that.
LENGTH_AT, CRC_FROM = 12, 21
CODEC_MASK, APPEND_TIME, TRANSACTIONAL, CONTROL = 0x07, 0x08, 0x10, 0x20
MAGIC = 2
