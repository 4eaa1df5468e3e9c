"""The suite of a stored run, ready to be scored: its metrics are known, and its secrets are given again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sora_eval.generators.opening import parts_of
from sora_eval.registry.metrics import check_options
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.suite import Suite
from sora_eval.suite.loading import with_metrics_changed
from sora_eval.util.errors import RunError
from sora_eval.util.redaction import absent_secrets, given_again, remember


def scorable_suite(folder: RunFolder, changes: Sequence[str] = ()) -> Suite:
    """The suite of a run that is to be scored, with `changes` of its metrics.

    Before any change on disk, raises RegistryError for a metric that is gone, SuiteError for a change that cannot be made, and
    RunError that names all secrets that the environment has to give again.
    """
    suite, absent = with_metrics_changed(stored_suite(folder), changes), dict[str, Any]()
    absent.update(absent_secrets(suite.generate.options))
    for name, options in suite.metrics.items():
        check_options(name, options)
        absent.update(absent_secrets(options))
    for spec in (folder.head.generator.spec, *_other_specs(suite)):
        absent.update(absent_secrets(parts_of(spec)))
    if absent:
        given_again(absent, str(folder.path), RunError)
    return suite


def _other_specs(suite: Suite) -> list[str]:
    """The specs of the reference set and of the oracles."""
    reference = [suite.reference_spec] if suite.reference is not None else []
    return [*reference, *(suite.oracles.generators if suite.oracles is not None else ())]


def remember_secrets(suite: Suite) -> None:
    """Note the secrets of a suite, so that no row repeats them, whichever process meets them first."""
    for options in (suite.generate.options, *suite.metrics.values(), *map(parts_of, _other_specs(suite))):
        remember(options)
