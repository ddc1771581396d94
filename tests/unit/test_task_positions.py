"""Positions of tasks: whatever is placed where, they sort as a list would have it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from quintet.db.models.tasks import MAX_POSITION
from quintet.tasks.positions import between

_ENDS = ["000001", "zzzzzz", "V", "Vz", "0000001", "zzzzzzz", "000000V", "U" + "z" * 30, "V" + "0" * 30 + "1"]


@settings(max_examples=300)
@given(
    there=st.lists(st.sampled_from(_ENDS), unique=True).map(sorted),
    places=st.lists(st.integers(0, 10_000), max_size=60),
)
def test_given_any_insertions_then_the_positions_sort_as_the_list_does(there: list[str], places: list[int]) -> None:
    listed = list(there)
    for place in places:
        at = place % (len(listed) + 1)
        made = between(listed[at - 1] if at else None, listed[at] if at < len(listed) else None)
        listed.insert(at, made)
        assert made.isascii()
        assert made.isalnum()
        assert not made.endswith("0")
    assert listed == sorted(set(listed))


def test_given_a_list_that_only_grows_at_its_ends_then_positions_stay_short() -> None:
    last = first = between(None, None)
    for _ in range(10_000):
        last, first = between(last, None), between(None, first)
    assert max(len(last), len(first)) <= 6


def test_given_moves_that_always_halve_one_gap_then_there_is_room_for_thousands() -> None:
    low, high = "V", "V00001"
    for n in range(2800):
        if n % 2:
            low = between(low, high)
        else:
            high = between(low, high)
    assert len(high) <= MAX_POSITION
