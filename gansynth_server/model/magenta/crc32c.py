"""CRC32C (Castagnoli) of LevelDB tables and TensorFlow bundles, vectorised in NumPy.

The register after some bytes is a linear function of them over GF(2), so a long
message is folded: written as rows of words, each row is shifted past the next
by a table look-up per half word and added (XOR) to it. Folding in three widths
leaves a few bytes for the usual loop.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

UInt32 = NDArray[np.uint32]

POLYNOMIAL = 0x82F63B78
"""Castagnoli's polynomial, lowest bit first (RFC 3720, appendix B.4)."""
WIDTHS = (16384, 512, 16)
"""Words per row, widest first."""
MASK_DELTA = 0xA282EAD8
"""kMaskDelta of LevelDB's util/crc32c.h."""


def _byte_table() -> UInt32:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(POLYNOMIAL), table >> 1)
    return table


BYTES = _byte_table()
LOOP = BYTES.tolist()
START = np.frombuffer(bytes.fromhex("54641f64"), np.uint8)
"""Four bytes that take the register from 0 to all ones, where a CRC32C begins."""


@cache
def _shift_tables(count: int) -> tuple[UInt32, UInt32]:
    """Tables by low and high half of a register for shifting it past ``count`` zero bytes.

    Args:
        count: a power of two.
    """
    columns = np.uint32(1) << np.arange(32, dtype=np.uint32)
    columns = BYTES[columns & 0xFF] ^ columns >> 8
    for _ in range(count.bit_length() - 1):
        low, high = _span(columns[:16]), _span(columns[16:])
        columns = low[columns & 0xFFFF] ^ high[columns >> 16]
    return _span(columns[:16]), _span(columns[16:])


def _span(columns: UInt32) -> UInt32:
    """All XOR sums of 16 registers, indexed by the bit mask of the summands."""
    sums = np.zeros(1, np.uint32)
    for column in columns:
        sums = np.concatenate([sums, sums ^ column])
    return sums


def _fold(message: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Fold a message to 4·``width`` bytes with the same CRC from an initial register of 0."""
    low, high = _shift_tables(4 * width)
    head = len(message) % (4 * width)
    row = np.zeros(4 * width, np.uint8)
    # zeros in front do not change a register of 0
    if head:
        row[-head:] = message[:head]
    halves = row.view("<u2")
    rest = message[head:].view("<u2").reshape(-1, 2 * width)
    for following in rest:
        moved = low[halves[0::2]]
        moved ^= high[halves[1::2]]
        halves = moved.astype("<u4", copy=False).view("<u2")
        halves ^= following
    return halves.view(np.uint8)


def crc32c(data: bytes | memoryview | NDArray[np.uint8]) -> int:
    """CRC32C of a message, an unsigned 32-bit number."""
    message = np.concatenate([START, np.frombuffer(data, np.uint8)])
    for width in WIDTHS:
        if len(message) > 8 * width:
            message = _fold(message, width)
    register = 0
    for byte in message.tolist():
        register = LOOP[(register ^ byte) & 0xFF] ^ register >> 8
    return register ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Mask a CRC as LevelDB and TensorFlow store it."""
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF
