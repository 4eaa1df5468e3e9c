"""Writes `suites/reference_features.npz`: features of the reference sets of shipped suites that the world renders."""

from __future__ import annotations

from collections.abc import Callable

from docs.pages.program import launch
from sora_eval.features import shipped
from sora_eval.features.view import Array, ClipView, FeatureCache
from sora_eval.generators.asking import answers_of
from sora_eval.metrics.asking import features_of
from sora_eval.metrics.create import make_metrics
from sora_eval.pipeline.reference import open_reference
from sora_eval.suite import load_suite
from sora_eval.suite.loading import shipped as shipped_suites
from sora_eval.util.errors import RunError
from sora_eval.util.progress import track


class Recording(FeatureCache):
    """The cache of this machine, which notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Array] = {}

    def keep(self, key: str, make: Callable[[], Array]) -> Array:
        self.values[key] = super().keep(key, make)
        return self.values[key]


def main() -> None:
    """Render the reference sets and compute their features; those in the cache of this machine are taken from there."""
    cache, clips, suites = Recording(), set[str](), set[str]()
    shipped.FILE.unlink(missing_ok=True)
    for suite in map(load_suite, shipped_suites()):
        if suite.reference is None or suite.reference.generator != "world":
            continue
        suites.add(suite.fingerprint)
        sets, generator = make_metrics(suite.metrics, suite.prompt_list).sets, open_reference(suite)
        for case in track(suite.cases, suite.suite.id):
            for copy in range(suite.reference.copies):
                (clip,) = answers_of(generator, suite, [case], suite.reference.seed_offset + copy)
                if isinstance(clip, str):
                    raise RunError(f"{suite.path}: {case.id}: {clip}")
                clips.add(clip.sha256)
                for name, metric in sets.items():
                    features_of(name, metric, ClipView(clip, case, cache, real=True))
    shipped.write(shipped.FILE, cache.values, clips, suites)
    print(f"{shipped.FILE}: {len(cache.values)} features of {len(clips)} clips")


if __name__ == "__main__":
    launch(main)
