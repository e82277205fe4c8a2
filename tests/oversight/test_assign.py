"""Assignment: sticky, monotone when ramping up, and with the share it is given."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrion.core import UserError
from orchestrion.oversight import assign

SHARES = st.floats(0, 1)


@given(st.text(), st.text(), SHARES, SHARES)
@settings(deadline=None)
def test_ramping_up_moves_keys_to_the_candidate_and_none_back(key: str, salt: str, one: float, other: float) -> None:
    before, after = (assign(key, share=share, salt=salt) for share in sorted((one, other)))

    assert (before, after) != ("candidate", "control")
    assert assign(key, share=one, salt=salt) == assign(key, share=one, salt=salt)


@given(st.text(), st.text())
@settings(deadline=None)
def test_nobody_and_everybody(key: str, salt: str) -> None:
    assert assign(key, share=0, salt=salt) == "control"
    assert assign(key, share=1, salt=salt) == "candidate"


@given(st.text(max_size=8), st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=30)
def test_of_many_keys_the_candidate_has_just_its_share(salt: str, share: float) -> None:
    count = 2_000
    had = sum(assign(str(number), share=share, salt=salt) == "candidate" for number in range(count))

    assert abs(had - share * count) < 6 * math.sqrt(count * share * (1 - share))


def test_another_rollout_asks_other_customers() -> None:
    keys = [str(number) for number in range(4_000)]
    both = sum(all(assign(key, share=0.5, salt=salt) == "candidate" for salt in ("one", "two")) for key in keys)

    assert abs(both - 1_000) < 6 * math.sqrt(4_000 * 0.25 * 0.75)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(UserError) as caught:
        assign("key", share=share, salt="salt")
    assert caught.value.code == "rollout-share-invalid"
