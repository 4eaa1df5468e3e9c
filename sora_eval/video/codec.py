"""Video files to frames and back: read through PyAV, written without loss."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from sora_eval.records.clip import Clip
from sora_eval.util.errors import ClipError, is_out_of_memory, line_of
from sora_eval.util.files import replacing
from sora_eval.video.arrays import ARRAY_SUFFIXES, read_array
from sora_eval.video.decoder import Decoder
from sora_eval.video.file_end import missing_end
from sora_eval.video.pictures import read_frames, read_webp
from sora_eval.video.timeline import timeline

VIDEO_SUFFIXES = (
    ".mp4",
    ".mkv",
    ".webm",
    ".mov",
    ".avi",
    ".gif",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".wmv",
    ".flv",
    ".ogv",
    ".3gp",
)
STORED_ONCE = (".gif", ".avi")  # formats that store a frame once which is shown for longer


def read_clip(path: Path, *, allow_damaged: bool = False, fps: float | None = None) -> Clip:
    """The clip of a video file as a player shows it: frames (T, H, W, 3) uint8, turned by its display matrix, at the rate of
    their times (see `timeline`). What the file leaves open is in the clip's notes.

    Also read are a folder of frames, animated WebP, and arrays of numpy; `fps` is the rate of what stores none.

    Raises ClipError where it is missing, no video, without frames or rate, or changes its frame size; and where it is
    damaged or cut, which with `allow_damaged` is a note too.
    """
    import av

    if path.is_dir():
        return read_frames(path, fps, allow_damaged=allow_damaged)
    if not path.is_file():
        raise ClipError(f"{path} does not exist")
    if path.suffix.lower() == ".webp":
        return read_webp(path)
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return read_array(path, fps)
    notes: list[str] = []
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:  # a container that ends in its index may have lost it
                cut = missing_end(path)
                raise ClipError(f"{path} is damaged or cut: {cut}; make it again" if cut else f"{path} has no video stream")
            stored = Decoder(container).decode()
            if fault := missing_end(path) or stored.fault:
                if not allow_damaged:
                    raise ClipError(
                        f"{path} is damaged or cut: {fault}; make it again, or use --allow-damaged to take what can be decoded"
                    )
                notes.append(f"damaged: {fault}")
            video, notes = stored.frames.all(), [*notes, *stored.notes]
            once = path.suffix.lower() in STORED_ONCE
            times = timeline(stored.times, stored.last, stored.tick, stored.nominal, stored_once=once)
        if times.index is not None:
            video = video[times.index]
    except (av.error.FFmpegError, MemoryError, ValueError, ArithmeticError, NotImplementedError, OSError) as error:
        if is_out_of_memory(error):
            raise ClipError(f"{path} is too large to be decoded: out of memory") from error
        fault = getattr(error, "strerror", None) or line_of(error)
        raise ClipError(f"{path} cannot be decoded as a video: {fault}; is it truncated or another kind of file?") from error
    except ClipError as error:
        raise ClipError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    video.flags.writeable = False  # the clip's own: it needs no copy
    return Clip(video, times.fps, notes=tuple(filter(None, [*notes, times.note])))


def write_clip(clip: Clip, path: Path) -> None:
    """Write a clip without loss (FFV1 in Matroska, RGB): a temporary file, then a rename.

    Raises ClipError for frames smaller than 4x4 px, OSError where the file cannot be written.
    """
    import av

    try:
        with replacing(path) as partial, av.open(str(partial), "w", "matroska", {"fflags": "+bitexact"}) as container:
            stream = container.add_stream("ffv1", rate=Fraction(clip.fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, "bgr0"
            for frame in clip.frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")))
            container.mux(stream.encode())
    except NotImplementedError as error:  # what PyAV raises where FFV1 cannot cut a frame this small into its slices
        raise ClipError(f"a clip of {clip.width}x{clip.height} px is too small to be stored; 4x4 is the least") from error
