"""`NAME[?key=value&...]`, as metrics and generators are named on the command line."""

import pytest

from sora_eval.generators.opening import read_spec
from sora_eval.registry.spec import split_spec
from sora_eval.selfcheck.check import check_metrics
from sora_eval.util.errors import GeneratorError, SelfcheckError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("fvd", ("fvd", {})),
        ("fvd?", ("fvd", {})),
        ("fvd?a=1&a=2", ("fvd", {"a": "2"})),
        ("reference?refine=http://host/v1?x=1", ("reference", {"refine": "http://host/v1?x=1"})),
        ("python:m:f?a=b=c&d=", ("python:m:f", {"a": "b=c", "d": ""})),
    ],
)
def test_names_and_options(text, parts):
    assert split_spec(text, "metric", SelfcheckError) == parts


def test_generators_and_metrics_refuse_what_is_no_option_alike():
    with pytest.raises(GeneratorError, match=r"^generator 'reference\?steps': 'steps' is not key=value$"):
        read_spec("reference?steps")
    with pytest.raises(SelfcheckError, match=r"^metric 'clip_score\?model': 'model' is not key=value$"):
        check_metrics(["clip_score?model"])


def test_options_have_the_type_of_their_default():
    assert check_metrics(["fvd?extrapolate=false", "clip_score?frames=3"]) == {
        "fvd": {"extrapolate": False},
        "clip_score": {"frames": 3},
    }
    with pytest.raises(SelfcheckError, match="extrapolate = 'maybe'; expected bool"):
        check_metrics(["fvd?extrapolate=maybe"])
