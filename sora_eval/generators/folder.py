"""Existing videos: a folder of files, or a manifest that names them and their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from sora_eval.formats.file_names import ids_of, left_out, split_entries, vbench_names
from sora_eval.formats.manifest_rows import COLUMNS, ManifestRow, check_columns, manifest_row
from sora_eval.generators.protocol import ClipSource
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.records.names import safe_id
from sora_eval.records.request import Request
from sora_eval.registry.formats import FORMATS
from sora_eval.util.cache import warn_once
from sora_eval.util.errors import ClipError, GeneratorError, RegistryError, line_of
from sora_eval.util.sealed import digest_of, file_digest
from sora_eval.util.visible import is_unicode
from sora_eval.video.codec import VIDEO_SUFFIXES, read_clip

MANIFESTS = tuple(f"manifest.{name}" for name in FORMATS.built_in)


def check_folder(argument: str, options: dict[str, str]) -> None:
    """Raises GeneratorError for a value of `damaged` that is none: a damaged clip is an `error` or scored with a `note`."""
    if (damaged := options.get("damaged", "error")) not in ("error", "note"):
        raise GeneratorError(f"folder:{argument}: damaged={damaged}; expected error or note")


def open_folder(argument: str, options: dict[str, str]) -> FolderGenerator:
    """The clips of a folder or manifest. Raises GeneratorError as `FolderGenerator` does."""
    return FolderGenerator(Path(argument), allow_damaged=options.get("damaged") == "note")


class FolderGenerator(ClipSource):
    """Clips on disk. `PATH` is a folder (with or without a manifest in it) or a manifest file.

    A manifest has the columns path and prompt, and may have prompt_id and seed. Without one, every file of the folder is
    a clip, with prompt and seed where its name is VBench's `PROMPT-SEED`; what cannot be read is reported, and folders and
    captions are left out with a note. Raises GeneratorError for a path without clips or with
    an unreadable manifest.
    """

    name = "folder"

    def __init__(self, path: Path, *, allow_damaged: bool = False) -> None:
        if not is_unicode(str(path.resolve())):
            raise GeneratorError(f"folder:{path}: its path is not UTF-8, so no row can record it; rename the folder")
        self.checkpoint, self._allow_damaged = path.name, allow_damaged
        self._entries: dict[str, tuple[Case, Path]] = {}
        self._by_prompt: dict[str, list[Case]] = {}
        manifest = self._find_manifest(path)
        rows = self._read_manifest(manifest) if manifest else self._list(path)
        root = manifest.parent if manifest else path
        ids = ids_of(row.path for row in rows if not row.prompt_id)
        for row in rows:
            file = root / row.path
            case = Case(Prompt(row.prompt_id or ids[row.path], row.prompt), None, None, None, None, row.seed)
            if case.id in self._entries:
                names = f"{self._entries[case.id][1].name} and {file.name}"
                fix = "give them different prompt_id or seed" if manifest else "rename one of them"
                raise GeneratorError(f"{manifest or path}: two clips have the id {case.id!r} ({names}); {fix}")
            self._entries[case.id] = (case, file)
            self._by_prompt.setdefault(case.prompt.text, []).append(case)

    @staticmethod
    def _find_manifest(path: Path) -> Path | None:
        if path.is_file():
            return path
        if not path.is_dir():
            raise GeneratorError(f"folder:{path}: neither a folder nor a manifest file")
        return next((path / name for name in MANIFESTS if (path / name).is_file()), None)

    @staticmethod
    def _read_manifest(path: Path) -> list[ManifestRow]:
        suffix = path.suffix[1:]
        if suffix not in FORMATS:
            suffixes = ", ".join(f".{name}" for name in [*FORMATS.built_in, *FORMATS.third_party()])
            raise GeneratorError(f"folder:{path}: a manifest is a {suffixes} file")
        try:
            read = FORMATS.load(suffix)
        except RegistryError as error:
            raise GeneratorError(f"folder:{path}: {error}") from error
        try:
            table = read(path)
        except Exception as error:
            raise GeneratorError(f"{path} cannot be read as a {suffix} table: {line_of(error)}") from error
        if repeated := [str(c) for c in table.columns[table.columns.duplicated()]]:
            raise GeneratorError(f"{path} has two columns {repeated[0]!r}; expected one")
        check_columns(path, table.columns)
        for name, aliases in COLUMNS.items():
            present = [c for c in aliases if c in table.columns]
            if present:
                table = table.rename(columns={present[0]: name})
            elif name == "path":
                raise GeneratorError(
                    f"{path} has the columns {', '.join(map(str, table.columns))}; expected 'path' (or "
                    f"{', '.join(aliases[1:])}) and 'prompt'"
                )
        if table.empty:
            raise GeneratorError(f"{path} lists no clips")
        records = table[[c for c in ManifestRow.model_fields if c in table.columns]].to_dict("records")
        return [manifest_row(path, number, record) for number, record in enumerate(records, 1)]

    @staticmethod
    def _list(path: Path) -> list[ManifestRow]:
        files, others = split_entries(path)
        without = left_out(others)
        if not any(p.suffix.lower() in VIDEO_SUFFIXES for p in files):
            raise GeneratorError(
                f"folder:{path} holds no video ({', '.join(VIDEO_SUFFIXES)}) and no manifest ({', '.join(MANIFESTS)})"
                + (f"; {without}" if without else "")
            )
        if unreadable := [p.name for p in files if not is_unicode(p.name)]:
            raise GeneratorError(f"folder:{path}: the file name {unreadable[0]!r} is not UTF-8; rename the file")
        if without:
            warn_once(f"folder:{path}: {without}")
        vbench = vbench_names(p.stem for p in files)
        return [ManifestRow(path=p.name, **_from_name(vbench.get(p.stem))) for p in files]

    @cached_property
    def _digests(self) -> dict[str, str]:
        return super().digests()

    def digests(self) -> dict[str, str]:
        """As in `ClipSource`; from the first call on, a file that changes is an error when it is read."""
        return self._digests

    def fingerprint(self) -> str:
        """Hash of ids, prompts and bytes of all clips, wherever they lie, and of what is done with damaged ones."""
        clips = [[case_id, case.prompt.text, self.digests()[case_id]] for case_id, (case, _) in sorted(self._entries.items())]
        return digest_of({"allow_damaged": self._allow_damaged, "clips": clips})[:16]

    def cases(self) -> list[Case]:
        return [case for case, _ in self._entries.values()]

    def read(self, case: Case) -> Clip:
        path = self._entries[case.id][1]
        clip = read_clip(path, allow_damaged=self._allow_damaged)
        if "_digests" in vars(self) and file_digest(path) != self._digests[case.id]:
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


def _from_name(named: tuple[str, int] | None) -> dict[str, Any]:
    """The fields of a manifest's row that a file's name gives: those of VBench's prompt and seed, if it has them."""
    return {} if named is None else {"prompt": named[0], "seed": named[1], "prompt_id": safe_id(named[0])}
