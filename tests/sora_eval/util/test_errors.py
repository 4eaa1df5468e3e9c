"""What messages quote of other errors."""

import pytest

from sora_eval.util.errors import line_of


@pytest.mark.parametrize(
    ("message", "first", "last"),
    [("", "OSError", "OSError"), ("\n  one  \n\n two\n", "one", "two"), ("x" * 300, "x" * 200, "x" * 200)],
)
def test_a_line_of_an_error(message, first, last):
    error = OSError(message)
    assert (line_of(error), line_of(error, -1)) == (first, last)
