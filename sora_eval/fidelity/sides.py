"""What a run or a baseline keeps of the clip of a case: its file, features of it, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np

from sora_eval.compare.kept import clips_folder, kept_features
from sora_eval.compare.run_data import RunData
from sora_eval.features.view import Array, ClipView, Extractor, FeatureCache
from sora_eval.records.case import Case, Prompt
from sora_eval.records.names import file_name
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow
from sora_eval.runs.trust import is_inside
from sora_eval.util.errors import ClipError, RunError, Undefined
from sora_eval.video.codec import read_clip


class KeptFeatures(ClipView):
    """A clip of which only features are kept, by the signatures of their extractors. Its frames are Undefined."""

    def __init__(self, case: Case, vectors: Mapping[str, Array]) -> None:
        self.case, self.real, self._vectors = case, False, vectors

    @property
    def clip(self) -> NoReturn:  # type: ignore[override]
        raise Undefined("the baseline keeps features of its clips and no frames: promote it with --clips")

    def features(self, extractor: Extractor) -> Array:
        """The vector that is kept. Raises Undefined for an extractor of another signature."""
        if extractor.signature not in self._vectors:
            raise Undefined("the baseline keeps no such features: promote it with --features or --clips")
        return self._vectors[extractor.signature]


class Side:
    """One of two runs; `name` is `base` or `new`."""

    def __init__(self, name: str, data: RunData, cache: FeatureCache) -> None:
        self.name, self._data, self._cache = name, data, cache
        self._folder = clips_folder(Path(data.path)) if data.kind == "baseline" else Path(data.path)
        self._run = RunFolder(self._folder) if data.kind == "run" else None
        self._rows: dict[str, dict[str, Array]] = {}
        for key, (ids, values) in kept_features(data).items():
            self._rows.setdefault(key.rpartition(" ")[0], {}).update(zip(ids, np.asarray(values), strict=True))

    def view(self, case: str) -> ClipView | str:
        """The clip of a case, or its features, or why there is neither."""
        row = self._data.samples[case]
        if row.status != "ok":
            return f"{self.name} made no clip: {row.error}"
        try:
            path = self._path(case, row)
        except RunError as error:
            return f"{self.name}: {error}"
        if path is None or not path.exists():
            vectors = {key: rows[case] for key, rows in self._rows.items() if case in rows}
            return KeptFeatures(_case(row), vectors) if vectors else f"{self.name} keeps no clip of it"
        try:
            clip = read_clip(path)
        except ClipError as error:
            return f"{self.name}: {error}"
        if clip.sha256 != row.sha256:
            return f"{self.name}: {path.name} has changed since it was made"
        return ClipView(clip, _case(row), self._cache)

    def _path(self, case: str, row: SampleRow) -> Path | None:
        if self._run is not None:
            return self._run.clip_file(row.clip) if row.clip else None
        path = self._folder / f"{file_name(case)}.mkv"
        return path if is_inside(self._folder, path) else None


def _case(row: SampleRow) -> Case:
    return Case(Prompt(row.prompt_id, row.prompt, row.tags), row.width, row.height, row.frames, row.fps, row.seed)
