"""Joint limits hold in the asked share of draws, and none at a lower level does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sora_eval.stats.joint_quantile import joint_quantile


@given(arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(1, 4)), elements=st.integers(-3, 9)), st.floats(0.05, 1))
def test_the_share_is_kept_and_no_lower_level_keeps_it(values, share):
    limits, level = joint_quantile(values, share)
    assert (values <= limits).all(1).mean() >= share - 1e-9
    rank = round(level * len(values))
    if rank > 1:
        lower = np.sort(values, 0)[rank - 2]
        assert (values <= lower).all(1).mean() < share


def test_draws_that_break_other_limits_do_not_count():
    values, among = np.arange(10.0)[:, None], np.arange(10) % 2 == 0
    assert joint_quantile(values, 0.3, among)[0].tolist() == [4.0]  # 0, 2 and 4
    with pytest.raises(ValueError, match="5 of 10 draws keep the other limits; 6 are needed"):
        joint_quantile(values, 0.6, among)
