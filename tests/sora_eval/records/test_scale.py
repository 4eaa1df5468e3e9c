"""Places on a scale: 0 at what needs no model, 1 at perfect clips, in the direction of the metric."""

from hypothesis import given
from hypothesis import strategies as st

from sora_eval.records.scale import Mark, MetricScale, Scale

NUMBER = st.floats(-1e6, 1e6)


def scale(higher: bool | None = True, of_n: bool = False, **marks: float | None) -> MetricScale:
    return MetricScale("s", higher, {name: Mark(value, 64) for name, value in marks.items()}, of_n)


def test_the_better_of_black_and_noise_is_0_unless_it_wins():
    assert scale(black=0.1, noise=0.3, perfect=0.9, frozen=0.8).zero == "noise"
    assert scale(False, black=900.0, noise=2000.0, perfect=100.0).zero == "black"
    assert scale(black=1.0, noise=0.6, perfect=0.98).zero == "noise"  # a black clip does not flicker
    won = scale(black=1.0, noise=0.99, perfect=0.98)
    assert won.zero == ""
    assert won.place(0.9) is None
    assert won.why_none == "neither black clips nor noise are worse than perfect ones"


def test_fvd_is_read_as_a_share_of_the_way():
    fvd = scale(False, noise=700.0, perfect=50.0)
    assert fvd.place(465.0) == (700.0 - 465.0) / 650.0
    assert fvd.place(1000.0) < 0
    assert fvd.place(10.0) > 1


def test_what_cannot_be_placed_is_not():
    assert scale(None, black=0.0, perfect=1.0).place(0.5) is None
    assert scale(black=0.0, perfect=None).place(0.5) is None
    assert scale(black=0.0, perfect=1.0).place(None) is None
    assert scale(black=0.0, perfect=1.0).place(float("nan")) is None
    distance = scale(False, of_n=True, black=9.0, perfect=1.0)
    assert distance.place(5.0, 63) == 0.5
    assert distance.place(5.0, 32) is None  # of another n: another distance
    assert scale(False, black=9.0, perfect=1.0).place(5.0, 32) == 0.5
    known = Scale("quick", 64, {"fvd": distance})
    assert known.of("fvd", "s") is distance
    assert known.of("fvd", "another protocol") is None
    assert known.of("kvd", "s") is None


@given(NUMBER, NUMBER, NUMBER, NUMBER, st.booleans())
def test_ends_and_order(black, noise, perfect, value, higher):
    known = scale(higher, black=black, noise=noise, perfect=perfect)
    sign = 1 if higher else -1
    if not known.zero:
        assert min(sign * black, sign * noise) >= sign * perfect
        return
    zero = {"black": black, "noise": noise}[known.zero]
    assert known.place(zero) == 0.0
    assert known.place(perfect) == 1.0
    if abs(perfect - zero) > 1e-3:
        assert (known.place(value) > 0.5) == (sign * value > sign * (zero + perfect) / 2) or abs(
            known.place(value) - 0.5
        ) < 1e-6
