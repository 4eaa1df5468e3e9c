"""The path of a clip in the features of a frozen image network: its geometry from frame to frame, and its drift over time.

The features are those of the consistency metrics: with the same network, a run computes them once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from sora_eval.features.image_text import ALL_FRAMES, FrameEmbeddings
from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.util.errors import Undefined

ORDER = 3  # frames whose affine span predicts the next one
STILL = 1e-3  # of the longest vector: below it a step has no direction, since float32 networks are good to about 1e-7
WINDOW = 256  # frames of a long path in memory at a time, in float64
SHARES = {"eighth": 1 / 8, "quarter": 1 / 4, "half": 1 / 2}  # of the clip's time
CURVE = 16  # points of a curve in the detail of a score, at most

Features = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]


class FeatureGeometry(ClipMetric):
    """Four statistics of GeoPhys (Internò et al. 2026) on the path z_t of a clip's frames in a frozen network's features.

    With steps v_t = z_t+1 - z_t: speed_variation is the standard deviation of |v_t|, curvature the mean angle of v_t and v_t+1
    in degrees, acceleration the mean of |v_t+1 - v_t|^2, residual the mean distance of a frame from the affine span of the
    three before it. Frames are unit vectors. All are lower for smoother paths, so a still picture wins: read them beside
    `dynamic_degree`. They change with fps. The paper averages over networks and has no weights of ours: equal formulas, not
    equal numbers.
    """

    outputs = (
        Output("feature_geometry.speed_variation", "1", False, ">= 0"),
        Output("feature_geometry.curvature", "deg", False, "0 to 180", (0.0, 180.0)),
        Output("feature_geometry.acceleration", "1", False, ">= 0"),
        Output("feature_geometry.residual", "1", False, ">= 0"),
    )

    def __init__(self, model: str = "world") -> None:
        super().__init__()
        self.extractor = FrameEmbeddings(model, ALL_FRAMES)
        self.signature = f"feature_geometry|steps|residual-span:{ORDER}|still:{STILL:g}|{self.extractor.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        return {f"feature_geometry.{name}": score for name, score in geometry(view.features(self.extractor)).items()}


def geometry(path: Features) -> dict[str, Score]:
    """speed_variation, curvature (degrees), acceleration and residual of a path (T, D); see `FeatureGeometry`.

    No rotation or shift of the space changes them; scaling it by k multiplies them by k, 1, k^2 and k. Raises Undefined for
    fewer than three frames; a path without two steps in a row has no curvature, and one of three frames no residual.

    >>> turn = geometry(np.array([[1.0, 0.0], [2.0, 0.0], [2.0, 1.0]]))
    >>> [turn[n].value for n in ("speed_variation", "curvature", "acceleration")]
    [0.0, 90.0, 2.0]
    """
    if len(path) < 3:
        raise Undefined(f"{len(path)} frame{'s' * (len(path) > 1)}; the geometry of a path needs at least 3")
    still = STILL * float(np.sqrt(np.einsum("nd,nd->n", path, path, dtype=np.float64).max()))
    speeds = np.concatenate([np.linalg.norm(np.diff(part, axis=0), axis=1) for part in _windows(path, 2)])  # (T-1,)
    bends, angles = map(np.concatenate, zip(*(_turns(part) for part in _windows(path, 3)), strict=True))  # (T-2,)
    both = (speeds[1:] > still) & (speeds[:-1] > still)
    return {
        "speed_variation": Score(float(speeds.std())),
        "curvature": Score(float(np.degrees(angles[both]).mean()), detail={"turns": int(both.sum())})
        if both.any()
        else Score(None, "the features stand still: no two steps in a row have a direction"),
        "acceleration": Score(float(bends.mean())),
        "residual": _residual(path, still),
    }


def _windows(path: Features, frames: int) -> Iterator[Floats]:
    """Parts of a path in which every run of this many frames occurs once, so that a long path is never copied whole."""
    for start in range(0, len(path) - frames + 1, WINDOW):
        yield path[start : start + WINDOW + frames - 1].astype(np.float64)


def _turns(part: Floats) -> tuple[Floats, Floats]:
    """Squared change of the step, and the angle between steps, at the inner frames (n - 2,) of a part (n, D)."""
    steps = np.diff(part, axis=0)
    directions = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), np.finfo(float).tiny)
    a, b = directions[:-1], directions[1:]
    # Half angles: the arc cosine loses half of the digits on a path that is nearly straight.
    angles = 2 * np.arctan2(np.linalg.norm(b - a, axis=1), np.linalg.norm(a + b, axis=1))
    return np.square(np.diff(steps, axis=0)).sum(1), angles


def _residual(path: Features, still: float) -> Score:
    """Mean distance of frames from the affine span of the `ORDER` before them; directions shorter than `still` are rounding."""
    if len(path) <= ORDER:
        return Score(None, f"{len(path)} frames; a prediction needs at least {ORDER + 1}")
    distances = np.concatenate([_off_span(part, still) for part in _windows(path, ORDER + 1)])
    return Score(float(distances.mean()), detail={"worst_frame": int(distances.argmax()) + ORDER})


def _off_span(part: Floats, still: float) -> Floats:
    """Distances (n,) of the last n frames of a part (n + ORDER, D), each from the span of the `ORDER` before it."""
    last = part[ORDER - 1 : -1]  # (n, D)
    spans = np.stack([part[i : i + len(last)] - last for i in range(ORDER - 1)], axis=1)  # (n, ORDER - 1, D)
    _, lengths, basis = np.linalg.svd(spans, full_matrices=False)
    basis = np.where((lengths > still)[..., None], basis, 0.0)
    targets = part[ORDER:] - last
    inside = np.einsum("nkd,nd->nk", basis, targets)
    return np.asarray(np.linalg.norm(targets - np.einsum("nk,nkd->nd", inside, basis), axis=1), np.float64)


class FeatureDrift(ClipMetric):
    """How far a clip's frames drift from each other over time, as 1 - cosine of a frozen network's features.

    end: the frames of the last eighth against the first frame. slope: least squares of 1 - cos(f_t, f_0) over t, per second.
    eighth, quarter, half: frames that far apart, in shares of the clip's time, mean over the clip; they rise where a clip
    drifts, and do not where it only jitters. Curves are in the details: of `end` against the first frame, of `slope` by
    distance in time. Lower is better, and a still picture wins: read them beside `dynamic_degree`.
    """

    outputs = (
        Output("feature_drift.end", "1 - cos", False, "0 to 2", (0.0, 2.0)),
        Output("feature_drift.slope", "1 - cos per s", False, "any"),
        *(Output(f"feature_drift.{share}", "1 - cos", False, "0 to 2", (0.0, 2.0)) for share in SHARES),
    )

    def __init__(self, model: str = "world") -> None:
        super().__init__()
        self.extractor = FrameEmbeddings(model, ALL_FRAMES)
        self.signature = f"feature_drift|1-cos|end:last-eighth|slope:least-squares|{self.extractor.signature}"

    def score(self, view: ClipView) -> Mapping[str, Score]:
        return {f"feature_drift.{n}": s for n, s in drift(view.features(self.extractor), view.clip.fps).items()}


def drift(path: Features, fps: float) -> dict[str, Score]:
    """end, slope (per second), eighth, quarter and half of unit vectors (T, D); see `FeatureDrift`.

    Raises Undefined for one frame. A share of the time that is less than half a frame has no value.

    >>> path = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> scores = drift(path, fps=1.0)
    >>> scores["end"].value, scores["half"].value, scores["eighth"].value
    (1.0, 0.5, None)
    """
    length = len(path) - 1
    if length < 1:
        raise Undefined("1 frame; drift needs at least 2")
    to_first = _apart(path, path[:1])  # (T,)
    places = np.unique(np.linspace(0, length, CURVE).round().astype(int))
    seconds = np.arange(length + 1) / fps
    centred = seconds - seconds.mean()
    lags = [2**k for k in range(length.bit_length()) if 2**k <= length]
    curve = {"seconds": _rounded(places / fps), "to_first": _rounded(to_first[places])}
    by_lag = {"seconds_apart": _rounded(np.array(lags) / fps), "mean": _rounded([_lagged(path, lag) for lag in lags])}
    scores = {
        "end": Score(float(to_first[-max(round((length + 1) / 8), 1) :].mean()), detail=curve),
        "slope": Score(float(centred @ to_first / (centred @ centred)), detail=by_lag),
    }
    for name, share in SHARES.items():
        lag = round(share * length)
        reason = f"{length + 1} frames; a frame is more than this share of their time"
        scores[name] = Score(_lagged(path, lag), detail={"frames_apart": lag}) if lag else Score(None, reason)
    return scores


def _lagged(path: Features, lag: int) -> float:
    return float(_apart(path[lag:], path[:-lag]).mean())


def _apart(a: Features, b: Features) -> Floats:
    """1 - cosine of the rows of unit vectors (n, D) and (n, D) or (1, D); einsum casts a few rows at a time, never all."""
    cosines: Floats = np.einsum("nd,nd->n", a, np.broadcast_to(b, a.shape), dtype=np.float64)
    return (1.0 - cosines).clip(0.0, 2.0)


def _rounded(values: npt.ArrayLike) -> list[float]:
    return [round(float(v), 6) for v in np.asarray(values)]
