"""A paired metric in the selfcheck: every damaged clip against the clean clip of its case."""

from __future__ import annotations

from collections.abc import Mapping

from sora_eval.features.view import ClipView
from sora_eval.metrics.base import ClipMetric, PairMetric, Score, check_pair
from sora_eval.registry.metric_info import MetricInfo
from sora_eval.registry.metrics import metric_info
from sora_eval.registry.paired_metrics import PAIRED


class AgainstClean(ClipMetric):
    """The scores of a paired metric on one clip, of a pair whose base is the clip that was shown last as clean."""

    def __init__(self, metric: PairMetric) -> None:
        self.__dict__["outputs"] = metric.outputs  # before torch's own __init__, which makes a state for each
        super().__init__()
        self.__dict__["pair_metric"] = metric
        self.signature = metric.signature
        self._clean: ClipView | None = None

    def show_clean(self, view: ClipView) -> None:
        """The clean clip that following clips are compared with."""
        self._clean = view

    @property
    def beside(self) -> str:
        """Hash of the clean clip, on which the scores depend too."""
        return "" if self._clean is None else self._clean.clip.sha256

    def score(self, view: ClipView) -> Mapping[str, Score]:
        assert self._clean is not None  # every case begins with its clean clip
        check_pair(self._clean, view)
        metric: PairMetric = self.__dict__["pair_metric"]
        return metric.score(self._clean, view)


def info_of(name: str) -> MetricInfo:
    """The record of a metric of any kind. Raises RegistryError as `Registry.info`."""
    return PAIRED.info(name) if name in PAIRED.built_in else metric_info(name)
