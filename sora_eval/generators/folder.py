"""Existing videos: a folder of files, or a manifest that names them and their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from sora_eval.formats.layout import Listing
from sora_eval.formats.layouts import check_layout, list_clips, steps_of
from sora_eval.formats.tensors import read_tensor
from sora_eval.formats.tree import TENSOR_SUFFIXES
from sora_eval.generators.protocol import ClipSource, content_digest
from sora_eval.records.capabilities import MOST_FRAMES, Capabilities
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import LEAST_FPS, MOST_FPS, Clip
from sora_eval.records.request import Request
from sora_eval.util.cache import warn_once
from sora_eval.util.errors import ClipError, GeneratorError
from sora_eval.util.sealed import digest_of
from sora_eval.util.visible import is_unicode
from sora_eval.video.codec import read_clip


def check_folder(argument: str, options: dict[str, str]) -> None:
    """Raises GeneratorError for a value of an option that is none.

    `damaged` is error or note: a damaged clip is an `error` or scored with a `note`. `layout` and `clips` are of
    `formats.layouts`, `step` is a training step, and `fps` the rate of clips that store none.
    """
    if (damaged := options.get("damaged", "error")) not in ("error", "note"):
        raise GeneratorError(f"folder:{argument}: damaged={damaged}; expected error or note")
    try:
        check_layout(options.get("layout", ""), options.get("clips", ""))
    except GeneratorError as error:
        raise GeneratorError(f"folder:{argument}: {error}") from None
    _step_of(argument, options)
    _rate_of(argument, options)


def open_folder(argument: str, options: dict[str, str]) -> FolderGenerator:
    """The clips of a folder or manifest. Raises GeneratorError as `FolderGenerator` does."""
    path, step = Path(argument), _step_of(argument, options)
    listing = list_clips(path, options.get("layout", ""), options.get("clips", ""), step)
    return FolderGenerator(path, listing, allow_damaged=options.get("damaged") == "note", fps=_rate_of(argument, options))


def options_of_steps(argument: str, options: dict[str, str]) -> list[str]:
    """An option `step=N` per training step whose clips a folder holds; none where it holds those of at most one."""
    if "step" in options:
        return []
    steps = steps_of(Path(argument), options.get("layout", ""), options.get("clips", ""))
    return [f"step={step}" for step in steps] if len(steps) > 1 else []


def _step_of(argument: str, options: dict[str, str]) -> int | None:
    text = options.get("step")
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 16):
        raise GeneratorError(f"folder:{argument}: step={text}; expected a whole number")
    return None if text is None else int(text)


def _rate_of(argument: str, options: dict[str, str]) -> float | None:
    if "fps" not in options:
        return None
    try:
        rate = float(options["fps"])
    except ValueError:
        rate = 0.0
    if not LEAST_FPS <= rate <= MOST_FPS:
        raise GeneratorError(f"folder:{argument}: fps={options['fps']}; expected a number from {LEAST_FPS:g} to {MOST_FPS:g}")
    return rate


class FolderGenerator(ClipSource):
    """Clips on disk. `PATH` is a folder, read by one of the layouts of `formats.layouts`, or a manifest file.

    `fps` is the rate of clips that store none. Raises GeneratorError for a path without clips or with an unreadable manifest.
    """

    name = "folder"
    capabilities = Capabilities(settings=None, first_frames=(0, MOST_FRAMES))  # its clips were made by whatever asked for them

    def __init__(
        self, path: Path, listing: Listing | None = None, *, allow_damaged: bool = False, fps: float | None = None
    ) -> None:
        if not is_unicode(str(path.resolve())):
            raise GeneratorError(f"folder:{path}: its path is not UTF-8, so no row can record it; rename the folder")
        listing = listing or list_clips(path)
        self.layout, self._step = listing.layout, listing.step
        named = path.name if listing.step is None else f"{path.name}/step_{listing.step}"
        self.checkpoint = path.name if str(listing.step) in path.name else named
        self._allow_damaged, self._fps = allow_damaged, fps
        self._entries: dict[str, tuple[Case, Path]] = {}
        self._by_prompt: dict[str, list[Case]] = {}
        for row in listing.rows:
            file = listing.root / row.path
            case = Case(Prompt(row.prompt_id, row.prompt), None, None, None, None, row.seed)
            if case.id in self._entries:
                names = f"{self._entries[case.id][1].name} and {file.name}"
                fix = "give them different prompt_id or seed" if listing.layout == "manifest" else "rename one of them"
                raise GeneratorError(f"{path}: two clips have the id {case.id!r} ({names}); {fix}")
            self._entries[case.id] = (case, file)
            self._by_prompt.setdefault(case.prompt.text, []).append(case)
        for note in listing.notes:
            warn_once(f"folder:{path}: {note}")

    @property
    def training_steps(self) -> int | None:
        """The training step that the folder of the clips names."""
        return self._step

    @cached_property
    def _digests(self) -> dict[str, str]:
        return super().digests()

    def digests(self) -> dict[str, str]:
        """As in `ClipSource`; from the first call on, a file that changes is an error when it is read."""
        return self._digests

    def fingerprint(self) -> str:
        """Hash of ids, prompts and bytes of all clips, wherever they lie, and of what is done with damaged ones."""
        clips = [[case_id, case.prompt.text, self.digests()[case_id]] for case_id, (case, _) in sorted(self._entries.items())]
        rate = {} if self._fps is None else {"fps": self._fps}
        return digest_of({"allow_damaged": self._allow_damaged, "clips": clips, **rate})[:16]

    def cases(self) -> list[Case]:
        return [case for case, _ in self._entries.values()]

    def read(self, case: Case) -> Clip:
        path = self._entries[case.id][1]
        if path.suffix.lower() in TENSOR_SUFFIXES:
            clip = read_tensor(path, self._fps)
        else:
            clip = read_clip(path, allow_damaged=self._allow_damaged, fps=self._fps)
        if "_digests" in vars(self) and content_digest(path) != self._digests[case.id]:
            raise ClipError(f"{path.name} has changed since the run began")
        return clip

    def path(self, case: Case) -> Path:
        """The path of a case's file."""
        return self._entries[case.id][1]

    def generate(self, requests: Sequence[Request]) -> list[Clip]:
        """The clip of each request's prompt, and seed where several share it. Raises ClipError for none or another shape."""
        out = []
        for r in requests:
            matching = self._by_prompt.get(r.prompt, [])
            exact = [c for c in matching if c.seed == r.case_seed] or (matching if len(matching) == 1 else [])
            if not exact:
                raise ClipError(f"the folder has {len(matching)} clips of the prompt {r.prompt!r}, none of seed {r.case_seed}")
            clip = self.read(exact[0])
            if (clip.width, clip.height, clip.num_frames) != (r.width, r.height, r.num_frames):
                raise ClipError(
                    f"found a clip of {clip.width}x{clip.height}x{clip.num_frames}, expected "
                    f"{r.width}x{r.height}x{r.num_frames}"
                )
            out.append(clip)
        return out
