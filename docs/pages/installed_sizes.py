"""The measured block of `docs/installation.md`: what an installation weighs, package by package."""

from __future__ import annotations

from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from docs.pages.program import between, check_markers, launch, write_page
from sora_eval_reports.text.tables import markdown

MARK = "sizes"
PROJECT = "sora_eval"
LEAST = 20.0  # MB; smaller packages are one row
CUDA = ("nvidia-", "cuda-", "triton")  # of PyTorch's build for NVIDIA cards, and of nothing else


def main(
    page: Annotated[Path, typer.Option(help="The page; the block goes between its markers.")] = Path("docs/installation.md"),
) -> None:
    """Measure what sora_eval and what it needs take on disk in this environment, and write it into docs/installation.md."""
    check_markers(page, MARK)
    found = installed()
    print(markdown(found))
    block = f"Written by `python -m docs.pages.installed_sizes`, on Linux, x86-64:\n\n{markdown(found)}"
    write_page(page, between(page.read_text(encoding="utf-8"), MARK, block))


def installed() -> pd.DataFrame:
    """Size of what the core needs and of what each extra adds to it, by package, largest first."""
    core = closure("")
    sizes = {name: megabytes(distribution(name)) for name in core}
    cuda = {name for name in core if name.startswith(CUDA)}
    rows: list[dict[str, Any]] = [
        {"package": name, "MB": size} for name, size in sizes.items() if size >= LEAST and name not in cuda
    ]
    rows.append({"package": "CUDA's libraries and triton, of PyTorch's build for cards", "MB": sum(sizes[n] for n in cuda)})
    rest = [size for name, size in sizes.items() if size < LEAST and name not in cuda]
    rows.sort(key=lambda row: -row["MB"])
    rows.append({"package": f"{len(rest)} smaller packages", "MB": sum(rest)})
    rows.append({"package": "together", "MB": sum(sizes.values())})
    for extra in sorted(distribution(PROJECT).metadata.get_all("Provides-Extra") or []):
        if extra == "dev":
            continue
        added = closure(extra) - core
        rows.append(
            {"package": f"extra {extra}: {len(added)} packages more", "MB": sum(megabytes(distribution(n)) for n in added)}
        )
    return pd.DataFrame([{"package": row["package"], "MB": f"{row['MB']:,.0f}"} for row in rows])


def closure(extra: str) -> set[str]:
    """Names of the installed packages that sora_eval needs, with those of one of its extras; not itself."""
    names = {canonicalize_name(d.name) for d in distributions()}
    found: set[str] = set()
    todo = [(PROJECT, extra)]
    while todo:
        name, of = todo.pop()
        for text in distribution(name).requires or []:
            need = Requirement(text)
            key = canonicalize_name(need.name)
            if key not in names or (need.marker and not need.marker.evaluate({"extra": of})):
                continue
            if key not in found or need.extras:
                found.add(key)
                todo += [(key, e) for e in ("", *need.extras) if (key, e) != (name, of)]
    return found - {canonicalize_name(PROJECT)}


def megabytes(package: Distribution) -> float:
    """Size of a package's files, MB (10^6 bytes)."""
    return sum(file.size or 0 for file in package.files or []) / 1e6


if __name__ == "__main__":
    launch(main)
