"""Two runs: what differs, by how much, and whether it is noise. Pure. The package is callable: `comparison.compare`."""

from sora_eval.util.callable_package import make_callable

make_callable(__name__, "sora_eval.compare.comparison:compare")
