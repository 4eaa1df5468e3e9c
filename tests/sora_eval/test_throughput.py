"""What a speed sweep asks for and what it leaves behind."""

import numpy as np
import pytest

from sora_eval.errors import GeneratorError
from sora_eval.generators import Request, open_generator

PROMPT = "a red circle falls on a black background"


def test_steps_and_guidance_of_a_generator_take_the_place_of_the_suites():
    request = Request(PROMPT, 16, 16, 5, 8.0, 3, 2, 1.0)
    direct = open_generator("reference").generate([Request(PROMPT, 16, 16, 5, 8.0, 3, 1, 2.0)])[0]
    changed = open_generator("reference?steps=1&guidance=2")
    assert np.array_equal(changed.generate([request])[0].frames, direct.frames)
    assert changed.fingerprint() != open_generator("reference").fingerprint()


@pytest.mark.parametrize("options", ["steps=0", "steps=two", "guidance=nan", "guidance=high"])
def test_steps_and_guidance_that_are_no_numbers_are_refused(options):
    with pytest.raises(GeneratorError, match=options):
        open_generator(f"reference?{options}")
