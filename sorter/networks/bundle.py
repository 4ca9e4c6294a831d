"""A TensorFlow checkpoint (variables.index, variables.data-*) as plain arrays.

Read here and not by TensorFlow: its reader ends the process where an entry is damaged, takes seconds to import, and
would be needed for nothing else. The index is a LevelDB table without compression
(github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/io/format.h), its values are protocol buffers
(tensorflow/core/protobuf/tensor_bundle.proto). Pure: works on bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAGIC = 0xDB4775248B80FB57
FLOAT, STRING = 1, 7
"""Of DataType in tensorflow/core/framework/types.proto."""
MOST_FIELDS = 1_000_000
"""Of one message; each takes many times its size once it is read. Teachable Machine's have some thousands."""


class Damaged(ValueError):
    """Bytes that are not what they should be."""


class Message:
    """A protocol buffer: the values of each field, by number (protobuf.dev/programming-guides/encoding)."""

    def __init__(self, data: bytes) -> None:
        self._numbers: dict[int, list[int]] = {}
        self._parts: dict[int, list[bytes]] = {}
        place = count = 0
        while place < len(data):
            if (count := count + 1) > MOST_FIELDS:
                raise Damaged(f"a message has over {MOST_FIELDS:,} fields")
            tag, place = varint(data, place)
            field, wire = tag >> 3, tag & 7
            if wire == 0:
                number, place = varint(data, place)
                self._numbers.setdefault(field, []).append(number)
            else:
                size, place = varint(data, place) if wire == 2 else ({1: 8, 5: 4}.get(wire, len(data) + 1), place)
                if place + size > len(data):
                    raise Damaged("a field is longer than its message")
                self._parts.setdefault(field, []).append(data[place : place + size])
                place += size

    def number(self, field: int) -> int:
        """An integer, 0 where it is left out."""
        return self._numbers.get(field, [0])[-1]

    def numbers(self, field: int) -> list[int]:
        """The integers of a repeated field, one by one or packed; those below 0 as such."""
        found = list(self._numbers.get(field, ()))
        for packed in self.parts(field):
            place = 0
            while place < len(packed):
                number, place = varint(packed, place)
                found.append(number)
        return [number - (1 << 64) if number >> 63 else number for number in found]

    def part(self, field: int) -> bytes:
        """The bytes of a text or of an inner message, none where it is left out."""
        return self._parts.get(field, [b""])[-1]

    def parts(self, field: int) -> list[bytes]:
        """The same of a repeated field."""
        return self._parts.get(field, [])

    def text(self, field: int) -> str:
        """A text. Raises Damaged."""
        try:
            return self.part(field).decode()
        except UnicodeDecodeError:
            raise Damaged("a text is not UTF-8") from None


@dataclass(frozen=True)
class Entry:
    """Where a variable lies, and what it is."""

    kind: int
    shape: tuple[int, ...]
    shard: int
    start: int
    size: int


class Bundle:
    """The variables of a checkpoint, by key. Raises Damaged."""

    def __init__(self, index: bytes, shard: Callable[[int, int], bytes]) -> None:
        """`shard`: the number of a data file and how many there are -> its content."""
        table = _table(index)
        self.shards = Message(table.pop(b"", b"")).number(1)
        self.entries = {key.decode(errors="replace"): _entry(value) for key, value in table.items()}
        self._shard = shard

    def numbers(self) -> int:
        """How many numbers all the variables claim to have."""
        return sum(math.prod(entry.shape) for entry in self.entries.values() if entry.kind == FLOAT)

    def array(self, key: str) -> NDArray[np.float32]:
        """A variable of float32."""
        entry = self._known(key)
        if entry.kind != FLOAT or 4 * math.prod(entry.shape) != entry.size:
            raise Damaged(f"the variable {key[:80]!r} is not plain float32 of its shape")
        return np.frombuffer(self._bytes(entry), "<f4").astype(np.float32).reshape(entry.shape)

    def string(self, key: str) -> bytes:
        """A single string: its length, four bytes of checksum, its bytes."""
        entry = self._known(key)
        data = self._bytes(entry)
        size, place = varint(data, 0)
        if entry.kind != STRING or entry.shape or place + 4 + size != len(data):
            raise Damaged(f"the variable {key[:80]!r} is not a single string")
        return data[place + 4 :]

    def _known(self, key: str) -> Entry:
        if key not in self.entries:
            raise Damaged(f"the variable {key[:80]!r} is missing")
        return self.entries[key]

    def _bytes(self, entry: Entry) -> bytes:
        if entry.shard >= self.shards:
            raise Damaged("a variable lies in a file that there is not")
        data = self._shard(entry.shard, self.shards)[entry.start : entry.start + entry.size]
        if len(data) != entry.size:
            raise Damaged("a file of variables is cut off")
        return data


def varint(data: bytes, place: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and the place after it."""
    value = shift = 0
    while shift < 64:
        if place >= len(data):
            raise Damaged("an integer is cut off")
        byte = data[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value & (1 << 64) - 1, place
    raise Damaged("an integer has no end")


def _table(data: bytes) -> dict[bytes, bytes]:
    if len(data) < 48 or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise Damaged("the index of variables does not end as one")
    footer = data[-48:]
    _, place = varint(footer, 0)
    _, place = varint(footer, place)
    return {key: value for _, handle in _block(data, footer[place:]) for key, value in _block(data, handle)}


def _block(data: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the block at a handle (start, size); a key gives only where it departs from the last one."""
    start, place = varint(handle, 0)
    size, _ = varint(handle, place)
    if start + size + 5 > len(data) or size < 4 or data[start + size] != 0:
        raise Damaged("a block of the index is cut off or compressed")
    block = data[start : start + size]
    end = size - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    place, key = 0, b""
    while place < end:
        shared, place = varint(block, place)
        fresh, place = varint(block, place)
        length, place = varint(block, place)
        if shared > len(key) or place + fresh + length > end:
            raise Damaged("an entry of the index is longer than its block")
        key = key[:shared] + block[place : place + fresh]
        place += fresh + length
        yield key, block[place - length : place]


def _entry(value: bytes) -> Entry:
    message = Message(value)
    shape = tuple(Message(side).number(1) for side in Message(message.part(2)).parts(2))
    if len(shape) > 8 or any(side >= 1 << 40 for side in shape):  # a negative one is a huge one here
        raise Damaged(f"a variable has the shape {str(shape)[:60]}")
    return Entry(message.number(1), shape, message.number(3), message.number(4), message.number(5))
