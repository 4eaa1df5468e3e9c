"""Rectified flow: the sampler does what it says, guidance acts on all channels."""

import numpy as np
import pytest
import torch

from reference_model.networks import flow


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_a_constant_field_integrates_exactly_in_as_many_evaluations_as_asked(steps, shift, rng):
    noise, data = rng.standard_normal((2, 5, 4)).astype(np.float32)
    calls = []

    def velocity(x, t):
        calls.append(t)
        return noise - data

    assert np.allclose(flow.integrate(noise, velocity, steps, shift), data, atol=1e-5)
    assert len(calls) == steps
    assert calls[0] == 1.0
    assert min(calls) > 0


def test_guidance_one_is_conditional_and_zero_unconditional_on_all_channels(rng):
    a, b = rng.standard_normal((2, 6, 32)).astype(np.float32)
    assert np.allclose(flow.guide(a, b, 1.0), a, atol=1e-6)
    assert np.array_equal(flow.guide(a, b, 0.0), b)
    assert np.allclose(flow.guide(a, b, 3.0) - b, 3 * (a - b), atol=1e-5)


def test_noise_belongs_to_a_seed(rng):
    assert np.array_equal(flow.noise_for(3, (4, 2)), flow.noise_for(3, (4, 2)))
    assert not np.array_equal(flow.noise_for(3, (4, 2)), flow.noise_for(4, (4, 2)))


def test_times_are_logit_normal(rng):
    times = flow.logit_normal_times(rng, 20000)
    logits = np.log(times / (1 - times))
    assert abs(logits.mean()) < 0.03
    assert abs(logits.std() - 1) < 0.03


def test_a_shift_moves_logits_by_its_logarithm(rng):
    same = [np.random.default_rng(1), np.random.default_rng(1)]
    plain, moved = flow.logit_normal_times(same[0], 1000), flow.logit_normal_times(same[1], 1000, 3.0)
    assert np.allclose(np.log(moved / (1 - moved)) - np.log(plain / (1 - plain)), np.log(3.0), atol=1e-2)
    assert flow.euler_times(2, 3.0).tolist() == [1.0, 0.75, 0.0]


def test_the_skip_is_the_best_linear_guess_and_leaves_unit_variance(rng):
    """At every time the part of the velocity that the noisy tokens do not tell is uncorrelated with them."""
    data, noise = rng.standard_normal((2, 200000))
    for t in (0.0, 0.3, 0.5, 0.9, 1.0):
        of_input, of_answer = (float(c) for c in flow.skip(torch.tensor(t)))
        noisy = (1 - t) * data + t * noise
        answer = ((noise - data) - of_input * noisy) / of_answer
        assert abs(np.mean(answer * noisy)) < 0.02
        assert answer.var() == pytest.approx(1.0, abs=0.02)
    assert [float(c) for c in flow.skip(torch.tensor(1.0))] == [1.0, 1.0]  # at pure noise the answer is the clip, negated
