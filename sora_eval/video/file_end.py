"""Whether a video file ends where its own structure says: a download or a copy that broke off does not.

Decoders play what there is. Only containers say how much there should be: boxes of ISO base media files (MP4, MOV), elements of
EBML (Matroska, WebM), chunks of RIFF (AVI), the trailer of a GIF, whole packets of a transport stream.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

TS_PACKET = 188
_SEGMENT = b"\x18\x53\x80\x67"


def missing_end(path: Path) -> str:
    """What shows that the file was cut, or '' if nothing does. Raises OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
            return _boxes(file, size)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _segment(file, size)
        if head[:4] == b"RIFF":
            return _beyond("RIFF chunk", 8 + int.from_bytes(head[4:8], "little"), size)
        if head[:6] in (b"GIF87a", b"GIF89a"):
            return _trailer(file, size)
        if head[:1] == b"\x47" and _is_stream(file, size) and size % TS_PACKET:
            return f"its last packet has {size % TS_PACKET} of {TS_PACKET} bytes"
    return ""


def _beyond(what: str, end: int, size: int) -> str:
    return f"its {what} ends at byte {end}, the file at {size}" if end > size else ""


def _boxes(file: BinaryIO, size: int) -> str:
    """The top-level boxes of an MP4; size 0 is up to the end, 1 a size of 64 bits behind the name."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            return ""
        if length < 8:  # no box: some tools append bytes of their own
            return ""
        if place + length > size:
            return _beyond(f"box {head[4:8].decode('latin-1')!r}", place + length, size)
        place += length
    return ""


def _segment(file: BinaryIO, size: int) -> str:
    """The segment behind the header of an EBML file; one of unknown size, of a live recording, says nothing."""
    file.seek(4)
    header, _ = _number(file)
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return ""
    length, unknown = _number(file)
    return "" if unknown else _beyond("segment", file.tell() + length, size)


def _number(file: BinaryIO) -> tuple[int, bool]:
    """A number of EBML, whose first byte tells its length, and whether it stands for an unknown size."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, True
    width = 9 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0xFF >> width)]) + file.read(width - 1), "big")
    return value, value == (1 << 7 * width) - 1


def _trailer(file: BinaryIO, size: int) -> str:
    """A GIF ends in `;`; some writers pad it with zeros."""
    file.seek(max(size - 64, 0))
    return "" if file.read().rstrip(b"\0")[-1:] == b";" else "its trailer is missing"


def _is_stream(file: BinaryIO, size: int) -> bool:
    """Whether every packet of the first hundred starts with the sync byte."""
    for place in range(0, min(size, 100 * TS_PACKET), TS_PACKET):
        file.seek(place)
        if file.read(1) != b"\x47":
            return False
    return True
