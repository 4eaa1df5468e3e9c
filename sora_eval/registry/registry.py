"""Objects by name, loaded on use: built-in entries, entry points of packages, a user's `module:object`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar

from sora_eval.registry.targets import load_target, load_user_target
from sora_eval.util.errors import RegistryError, near


class HasTarget(Protocol):
    """A record of an entry; `target` names its object as `module:object`."""

    @property
    def target(self) -> str: ...


Info = TypeVar("Info", bound=HasTarget)


class Registry(Generic[Info]):
    """Entries of one kind (`noun`) by name, each with a record.

    The records of `built_in` are complete without a load. Installed packages add names by entry points of `group`; with
    `takes_targets`, `module:object` is a name too. The records of these come from `describe(name, target, object)`, which
    raises ValueError for an object of another kind. `hint` ends the message about an unknown name.
    """

    def __init__(
        self,
        noun: str,
        group: str,
        built_in: dict[str, Info],
        describe: Callable[[str, str, Any], Info],
        *,
        hint: str = "",
        takes_targets: bool = False,
    ) -> None:
        self.noun, self.group, self.built_in = noun, group, built_in
        self._describe, self._hint, self._takes_targets = describe, hint, takes_targets

    def third_party(self) -> dict[str, str]:
        """Name and origin of each entry point; loads none. Raises RegistryError for a name that occurs twice."""
        return {name: _origin(self._sole(name)) for name in sorted(self._points())}

    def __contains__(self, name: str) -> bool:
        """Whether a name is listed; its object may still fail to load."""
        return name in self.built_in or name in self._points()

    def info(self, name: str) -> Info:
        """The record of a name; the object is loaded for it unless it is built in.

        Raises RegistryError for a name that is unknown or occurs twice, and for an object that cannot be loaded or is of
        another kind.
        """
        if self._takes_targets and ":" in name:
            if aliases := [n for n, info in self.built_in.items() if info.target == name]:
                raise RegistryError(f"{name} is built in; name it {aliases[0]!r}")
            return self._described(name, name)
        if name not in self:
            known = [*self.built_in, *self._points()]
            raise RegistryError(f"{self.noun} {name!r} is not known{near(name, known)}{self._hint}")
        if name in self._points():
            return self._third_party_info(self._sole(name))
        return self.built_in[name]

    def load(self, name: str) -> Any:
        """The object of a name. Raises RegistryError as `info` does."""
        target = self.info(name).target
        return load_target(target) if name in self.built_in else load_user_target(target, installed=target != name)

    def _points(self) -> dict[str, tuple[EntryPoint, ...]]:
        return _entry_points(self.group, tuple(sys.path))

    def _sole(self, name: str) -> EntryPoint:
        """The only entry point of a name. Raises RegistryError if there are others, or a built-in entry."""
        points = self._points()[name]
        if len(points) > 1 or name in self.built_in:
            origins = [*["sora_eval (built in)"] * (name in self.built_in), *map(_origin, points)]
            raise RegistryError(f"two entries call themselves the {self.noun} {name!r}: {' and '.join(origins)}; uninstall one")
        return points[0]

    def _third_party_info(self, point: EntryPoint) -> Info:
        try:
            return self._described(point.name, f"{point.module}:{point.attr}")
        except RegistryError as error:
            raise RegistryError(f"{self.noun} {point.name!r} of {_origin(point)}: {error}") from error

    def _described(self, name: str, target: str) -> Info:
        try:
            return self._describe(name, target, load_user_target(target, installed=target != name))
        except (ValueError, TypeError) as error:  # declared as something else
            raise RegistryError(f"{target} is not a {self.noun}: {error}") from error


@functools.cache
def _entry_points(group: str, path: tuple[str, ...]) -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of a group by name. `path` is `sys.path`, the key of the cache: another one may hold other packages."""
    points: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=group):
        points[point.name] = (*points.get(point.name, ()), point)
    return points


def _origin(point: EntryPoint) -> str:
    """The distribution of an entry point and its target: `my-package 1.2 (my_metrics:Brightness)`."""
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "a package without metadata"
    return f"{package} ({point.value})"
