"""The limit of a Fréchet distance for infinitely many clips, where its bias is a known function of n."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sora_eval.stats.distances import frechet_distance, ordered
from sora_eval.util.errors import RefusedError

# Below 3 D the value is not linear in 1/n: at n = 2 D the error of the intercept is 0.7 of the true distance, at 3 D less
# than its own scatter (tests/sora_eval/stats/test_extrapolation.py). The smallest part of the fit, half of all vectors, stays
# above 2.5 D.
LEAST_PER_DIMENSION = 5
PARTS, SHUFFLES = 8, 4


def extrapolated_frechet(generated: npt.ArrayLike, real: npt.ArrayLike, ddof: int = 1, seed: int = 0) -> float:
    """Fréchet distance for n -> infinity (Chong & Forsyth 2020): the intercept of a line in 1/n.

    Vectors (n, D) and (m, D); squared units. The fit uses random parts of equal size of both sets, from half of the smaller
    set to all of it, so that the line holds the bias of both. Unlike a distance it may be below 0 when the true one is
    near 0. Raises RefusedError where the line does not hold: fewer than 5 D vectors in either set.
    """
    a, b = ordered(generated), ordered(real)  # so that the random parts do not depend on the order of clips
    n, width = min(len(a), len(b)), a.shape[1]
    if n < LEAST_PER_DIMENSION * width:
        raise RefusedError(
            f"the distance is a line in 1/n only well above the {width} dimensions of the features: {len(a)} generated and "
            f"{len(b)} reference clips, at least {LEAST_PER_DIMENSION * width} of each are needed. Use 'kvd', which has no "
            "bias, or compare values of equal n"
        )
    rng = np.random.default_rng(seed)
    sizes = np.repeat(np.linspace(n / 2, n, PARTS).round().astype(int), SHUFFLES)
    values = [frechet_distance(a[rng.permutation(len(a))[:s]], b[rng.permutation(len(b))[:s]], ddof) for s in sizes]
    return float(np.polyfit(1.0 / sizes, values, 1)[1])
