"""What can be known of a user's code without a call: the source of its modules, and the plain values that a callable holds."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

NOT_COVERED = "files that its code reads (checkpoints), installed packages, and objects of other packages that it holds"
_HARNESS = {"sora_eval", "sora_eval_reports", "reference_model"}  # of this project: a run records their version
_INSTALLED = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def code_hash(function: Any, module: str, attribute: str) -> str:
    """Hash of the callable `module:attribute`: its name, the source of its module and of the modules of the user that this one
    imports, also inside functions, and the plain values in its closure, its defaults and its attributes.

    Modules of the user lie in the working folder or on PYTHONPATH. It knows none of NOT_COVERED.
    """
    sources = {name: hashlib.sha256(data).hexdigest() for name, data in _sources(module).items()}
    known = {"callable": f"{module}:{attribute}", "sources": sources, "values": _plain(function, set(sources), [])}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def _sources(module: str) -> dict[str, bytes]:
    """The bytes of a module's file, and of the files of the user's modules that it imports, by name."""
    found: dict[str, bytes] = {}
    roots, pending = [Path(p or os.getcwd()) for p in sys.path], [module]
    roots = [root for root in roots if not _is_installed(root)]
    while pending:
        name = pending.pop()
        if name in found or name.partition(".")[0] in _HARNESS:
            continue
        path = _file_of(name, roots)
        if path is None and name == module:  # an installed or a compiled module is known by its own file
            path = Path(getattr(sys.modules.get(name), "__file__", None) or os.devnull)
        if path is not None and path.is_file():
            found[name] = path.read_bytes()
            pending += _imports(name, path, found[name])
    return found


def _is_installed(root: Path) -> bool:
    return any(root.resolve().is_relative_to(place) for place in _INSTALLED) or not root.is_dir()


def _file_of(module: str, roots: list[Path]) -> Path | None:
    relative = Path(*module.split("."))
    for root in roots:
        for path in (root / relative / "__init__.py", (root / relative).with_suffix(".py")):
            if path.is_file():
                return path
    return None


def _imports(module: str, path: Path, source: bytes) -> Iterator[str]:
    """The names of all modules that a module may import, its own packages too; some are no modules but names in one."""
    parts = module.split(".")
    yield from (".".join(parts[:i]) for i in range(1, len(parts)))
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # not Python's source
        return
    package = parts if path.name == "__init__.py" else parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name)


def _plain(value: Any, own: set[str], outer: list[int]) -> Any:
    """A value as JSON data: plain ones exactly, objects of the modules `own` by what they hold, others by their type alone.

    `outer` are the ids of the values that hold it: one may hold itself.
    """
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | Path):
        return repr(value)
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        return [str(value.dtype), list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if id(value) in outer:
        return "(itself)"
    kind = value if isinstance(value, type) else type(value)
    held, ordered = _held(value, kind.__module__ in own)
    parts = [_plain(part, own, [*outer, id(value)]) for part in held]
    return [f"{kind.__module__}.{kind.__qualname__}", *(parts if ordered else sorted(parts, key=json.dumps))]


def _held(value: Any, is_own: bool) -> tuple[list[Any], bool]:
    """The values that a value holds, and whether their order counts."""
    if isinstance(value, Mapping):
        return list(value.items()), False
    if isinstance(value, list | tuple | set | frozenset):
        return list(value), isinstance(value, list | tuple)
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords], True
    if inspect.ismethod(value):
        return [value.__func__.__qualname__, value.__self__], True
    if inspect.isfunction(value):
        names = [value.__module__, value.__qualname__]
        return [*names, value.__defaults__, value.__kwdefaults__, *_closure(value), vars(value)], True
    return [vars(value)] if is_own and not isinstance(value, type) and hasattr(value, "__dict__") else [], True


def _closure(function: Any) -> list[Any]:
    """The values of a function's closure; a variable that has none yet is left out."""
    values = []
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:
            continue
    return values
