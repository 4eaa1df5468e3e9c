"""When the frames of a file are shown, and the frames at a constant rate that show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sora_eval.util.errors import ClipError

ROUNDING = 1e-3  # s; what remuxing through a container of milliseconds leaves
MOST_REPEATS = 50  # times the stored frames, so that one long delay does not fill the memory


@dataclass(frozen=True)
class Timeline:
    """The rate of a clip, and which stored frame each of its frames is; None where each is shown once."""

    fps: float
    index: npt.NDArray[np.intp] | None = None
    note: str = ""


def timeline(times: Sequence[float | None], last: float, tick: float, nominal: float, *, stored_once: bool = False) -> Timeline:
    """The timeline of frames shown at `times`, the last one for `last` seconds (0 if unknown), in a file whose header says
    `nominal` frames per second (0: nothing) and whose times are multiples of `tick` seconds.

    Frames at the nominal rate, up to rounding, have it. Other constant rates, and those that vary by less than half a
    frame, are the mean rate. Where the format stores equal frames once (`stored_once`: GIF, AVI), each is repeated for as
    long as it is shown. Otherwise the mean rate is sampled by time. Raises ClipError for times that do not increase, and for
    a file without times and rate.

    >>> timeline([0.0, 0.5, 1.0], 0.5, 0.01, 2.0)
    Timeline(fps=2.0, index=None, note='')
    >>> timeline([0.0, 1.0, 1.1], 0.1, 0.01, 0.0, stored_once=True).index.tolist()
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    """
    if None in times or len(times) == 1:
        if nominal <= 0 and (len(times) > 1 or last <= 0):
            raise ClipError("its frames have no times and its header no rate; re-encode it with one")
        note = "" if len(times) == 1 else f"its frames have no times; its header's rate of {nominal:.4g} fps is taken"
        return Timeline(nominal if nominal > 0 else 1 / last, note=note)
    at = np.array(times, np.float64)
    at -= at[0]
    steps, number = np.diff(at), np.arange(len(at))
    if (steps <= 0).any():
        raise ClipError("the times of its frames do not increase; re-encode it")
    if nominal > 0 and np.abs(at - number / nominal).max() <= max(tick, ROUNDING):
        return Timeline(nominal)
    if stored_once and (repeated := _repeated(steps, last, tick)):
        return repeated
    mean = float((len(at) - 1) / at[-1])
    off = float(np.abs(at - number / mean).max())
    if off < 0.5 / mean:
        note = f"its frame times vary by up to {1000 * off:.0f} ms; its mean rate of {mean:.4g} fps is taken"
        return Timeline(mean, note=note if off > max(tick, ROUNDING) else "")
    index = np.searchsorted(at, (number + 0.5) / mean, side="right") - 1
    slowest, fastest = 1 / steps.max(), 1 / steps.min()
    return Timeline(
        mean,
        index,
        f"its rate varies ({slowest:.4g} to {fastest:.4g} fps); resampled by time to its mean rate of {mean:.4g} fps",
    )


def _repeated(steps: npt.NDArray[np.float64], last: float, tick: float) -> Timeline | None:
    """Each frame as often as the shortest step fits into the time that it is shown; None if the steps are no multiples."""
    counts = np.append(np.rint(steps / steps.min()), max(round(last / float(steps.min())), 1)).astype(np.intp)
    step = float(steps.sum() / counts[:-1].sum())
    if np.abs(steps - counts[:-1] * step).max() > 1.01 * tick or counts.sum() > MOST_REPEATS * len(counts):
        return None
    if (counts == 1).all():
        return Timeline(1 / step)
    note = f"{len(counts)} stored frames are shown as {counts.sum()} at {1 / step:.4g} fps: equal ones are stored once"
    return Timeline(1 / step, np.repeat(np.arange(len(counts)), counts), note)
