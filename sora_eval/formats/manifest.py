"""Our own manifest: a table with the columns path and prompt, and optionally prompt_id and seed."""

from __future__ import annotations

from pathlib import Path

from sora_eval.formats.file_names import ids_of
from sora_eval.formats.layout import Listing
from sora_eval.formats.manifest_rows import COLUMNS, ManifestRow, check_columns, manifest_row
from sora_eval.formats.tables import table_of
from sora_eval.registry.formats import FORMATS
from sora_eval.util.errors import GeneratorError

MANIFESTS = tuple(f"manifest.{name}" for name in FORMATS.built_in)


def manifest_in(folder: Path) -> Path | None:
    """The manifest of a folder, the first of MANIFESTS, or None."""
    return next((folder / name for name in MANIFESTS if (folder / name).is_file()), None)


def listing_of(manifest: Path) -> Listing:
    """The clips that a manifest lists. Raises GeneratorError for an unreadable one, and for a wrong column or value."""
    table = table_of(manifest)
    check_columns(manifest, table.columns)
    for name, aliases in COLUMNS.items():
        present = [c for c in aliases if c in table.columns]
        if present:
            table = table.rename(columns={present[0]: name})
        elif name == "path":
            raise GeneratorError(
                f"{manifest} has the columns {', '.join(map(str, table.columns))}; expected 'path' (or "
                f"{', '.join(aliases[1:])}) and 'prompt'"
            )
    if table.empty:
        raise GeneratorError(f"{manifest} lists no clips")
    records = table[[c for c in ManifestRow.model_fields if c in table.columns]].to_dict("records")
    rows = [manifest_row(manifest, number, record) for number, record in enumerate(records, 1)]
    ids = ids_of(row.path for row in rows if not row.prompt_id)
    rows = [row if row.prompt_id else row.model_copy(update={"prompt_id": ids[row.path]}) for row in rows]
    return Listing(manifest.parent, "manifest", rows)
