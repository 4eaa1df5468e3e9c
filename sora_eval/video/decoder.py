"""One pass over a video file: its frames in one buffer, their times, and what is wrong or particular about them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sora_eval.util.errors import ClipError
from sora_eval.video.orientation import turned

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

_TRANSFERS = {16: "PQ", 18: "HLG"}  # of HDR, by their numbers in ITU-T H.273


class Buffer:
    """Frames of one size in one array, which grows in place: no moment holds them twice."""

    def __init__(self, guess: int) -> None:
        self._guess, self._count = max(guess, 16), 0
        self._frames: npt.NDArray[np.uint8] | None = None

    def add(self, frame: npt.NDArray[np.uint8]) -> None:
        """Take in a frame (H, W, 3). Raises ClipError for one of another size, MemoryError."""
        if self._frames is None:
            self._frames = np.empty((self._guess, *frame.shape), np.uint8)
        if frame.shape != self._frames.shape[1:]:
            raise ClipError("it changes its frame size while it plays; re-encode it at one size")
        if self._count == len(self._frames):
            self._resize(self._count + self._count // 4 + 16)
        self._frames[self._count] = frame
        self._count += 1

    def all(self) -> npt.NDArray[np.uint8]:
        """All frames (T, H, W, 3); the buffer is theirs. Raises ClipError for none."""
        if self._frames is None:
            raise ClipError("it holds no frames")
        self._resize(self._count)
        return self._frames

    def _resize(self, count: int) -> None:
        assert self._frames is not None
        self._frames.resize((count, *self._frames.shape[1:]), refcheck=False)


class Decoder:
    """What one pass finds: `frames`, their `times` in s (None where a frame has none), the `tick` of times, for how long the
    `last` frame is shown, the `nominal` rate (0: none), `notes`, and `fault`, '' or why the file is not whole."""

    def __init__(self, container: InputContainer) -> None:
        from av.video.reformatter import VideoReformatter

        self._container, self._stream = container, container.streams.video[0]
        stream = self._stream
        stream.thread_type = "SLICE"  # threads of whole frames hand a frame on before its damage is known
        self._header = float(stream.average_rate or 0)
        self.tick = float(stream.time_base or 0)
        self._reformatter = VideoReformatter()  # one: a frame's own would have threads of its own
        length = (stream.duration or 0) * self.tick or (container.duration or 0) / 1e6
        guess = stream.frames or int(length * min(self._header, 240.0)) + 1
        self.frames, self.times, self.last = Buffer(min(guess, 100_000)), list[float | None](), 0.0
        self._corrupt, self._packets, self._end = 0, 0, 0.0
        self._seen: dict[str, int] = {}
        self._matrix: tuple[int, ...] | None = None

    def decode(self) -> Decoder:
        """Read the whole file. Raises ClipError for frames that change their size, and av's errors."""
        from av.error import InvalidDataError

        for packet in self._container.demux():  # all streams: a file ends where its longest one does
            if packet.pts is not None and packet.time_base:
                self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream is not self._stream:
                continue
            self._packets += packet.size > 0
            self._corrupt += packet.is_corrupt
            try:
                frames = packet.decode()
            except InvalidDataError:  # the next packets may be whole
                self._corrupt += 1
                continue
            for frame in frames:
                self._take(frame)  # type: ignore[arg-type]
        return self

    def _take(self, frame: VideoFrame) -> None:
        if not self.times:
            self._matrix = _matrix_of(frame)
        self._corrupt += frame.is_corrupt
        time = None if frame.pts is None or not frame.time_base else float(frame.pts * frame.time_base)
        self.times.append(time)
        self.last = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 0.0
        if time is not None:
            self._end = max(self._end, time + self.last)
        pixels = self._pixels(frame)
        if self._matrix is not None:
            shown = turned(pixels, self._matrix)
            if shown is None:
                self._saw("turned by another angle than a quarter; frames are as stored")
            else:
                pixels = shown
        if frame.interlaced_frame:
            self._saw("interlaced; frames are both fields")
        if (trc := _TRANSFERS.get(int(frame.color_trc or 0))) is not None:
            self._saw(f"HDR ({trc}); frames are as stored, without tone mapping")
        self.frames.add(pixels)

    def _pixels(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        """RGB (H, W, 3); what is transparent is shown on black, whatever the format."""
        if not any(c.is_alpha for c in frame.format.components):
            return self._array(frame, "rgb24")
        pixels = self._array(frame, "rgba")
        colour, alpha = pixels[..., :3], pixels[..., 3:]
        if alpha.min() == 255:
            return colour
        self._saw("partly transparent; shown on black")
        return np.asarray((colour.astype(np.uint16) * alpha + 127) // 255, np.uint8)

    def _array(self, frame: VideoFrame, layout: str) -> npt.NDArray[np.uint8]:
        return self._reformatter.reformat(frame, format=layout).to_ndarray().astype(np.uint8, copy=False)

    def _saw(self, what: str) -> None:
        self._seen[what] = self._seen.get(what, 0) + 1

    @property
    def nominal(self) -> float:
        """Frames per second by the header; of a single frame that has a duration, its inverse."""
        return self._header or (0.0 if self.last else float(self._stream.guessed_rate or 0))

    @property
    def notes(self) -> list[str]:
        """What is particular about the frames."""
        stream, n = self._stream, len(self.times)
        notes = [what if count == n else f"{count} of {n} frames are {what}" for what, count in self._seen.items()]
        aspect = stream.sample_aspect_ratio
        if aspect and aspect != 1:
            notes.append(f"its pixels are {aspect.numerator}:{aspect.denominator}, not square; frames are as stored")
        if stream.metadata.get("alpha_mode") == "1" and "transparent" not in " ".join(notes):
            notes.append("its transparency is not read; colours are as stored")
        return notes

    @property
    def fault(self) -> str:
        """Why the file is not whole, or ''. A frame less than the header says is rounding, unless their number is short too."""
        if self._corrupt:
            return f"{self._corrupt} of its frames or packets are corrupt"
        expected = self._expected_end()
        rate = (len(self.times) - 1) / max(self._shown(), 1e-9) if len(self.times) > 1 else self.nominal
        short = (expected - self._end) * rate if expected is not None and rate > 0 else 0.0
        if short > 1.6 or (short > 0.6 and self._packets < self._stream.frames):
            return f"it ends at {self._end:.4g} s, and its header says {expected:.4g} s"
        if expected is None and self._packets < self._stream.frames:
            return f"{self._packets} of {self._stream.frames} frames"
        return ""

    def _shown(self) -> float:
        known = [t for t in self.times if t is not None]
        return known[-1] - known[0] if known else 0.0

    def _expected_end(self) -> float | None:
        """When the header says that the file's last packet ends, in s; None if it says nothing."""
        begin = (self._container.start_time or 0) / 1e6
        if len(self._container.streams) == 1 and self._stream.duration:
            return float((self._stream.duration + (self._stream.start_time or 0)) * self.tick)
        return begin + self._container.duration / 1e6 if self._container.duration else None


def _matrix_of(frame: VideoFrame) -> tuple[int, ...] | None:
    entries: Any = frame.side_data.keys()
    data = next((bytes(entry) for entry in entries if entry.type.name == "DISPLAYMATRIX"), None)
    return struct.unpack("<9i", data) if data is not None else None
