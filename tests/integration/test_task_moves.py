"""Where tasks stand: moved by one, and by many at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api import Api
from tests.support.expect import pointers, problem
from tests.support.people import person
from tests.support.projects import created
from tests.support.statements import execute
from tests.support.tasks import id_of, in_order, listed, member, task


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    there=st.integers(1, 6),
    moves=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["before", "after"]), st.none() | st.integers(0, 9)), max_size=12
    ),
)
def test_given_any_moves_then_the_order_is_the_one_a_list_would_have(
    stack: object, there: int, moves: list[tuple[int, str, int | None]]
) -> None:
    owner = person()
    project = f"/projects/{created(owner)['id']}"
    model = [task(owner, project)["id"] for _ in range(there)]
    for moved, side, beside in moves:
        that = None if beside is None else model[beside % len(model)]
        if moved >= len(model):  # a new one
            model.insert(_place(model, side, that), task(owner, project, **{side: that})["id"])
            continue
        this = model[moved]
        assert owner.patch(f"/tasks/{this}", {side: that}).status == 200
        if that != this:
            model.remove(this)
            model.insert(_place(model, side, that), this)
    assert listed(owner, project_id=id_of(project)) == model == in_order(project)


def _place(model: list[str], side: str, beside: str | None) -> int:
    if beside is None:
        return len(model) if side == "before" else 0
    return model.index(beside) + (side == "after")


def test_given_a_move_then_no_other_task_is_written_and_one_to_where_it_stands_is_none(
    owner: Api, project: str
) -> None:
    one, two, three = (task(owner, project) for _ in range(3))
    moved = owner.patch(f"/tasks/{three['id']}", {"before": two["id"]}).json()
    assert in_order(project) == [one["id"], three["id"], two["id"]]
    assert one["position"] < moved["position"] < two["position"]
    assert moved["version"] == 2
    for unmoved in (one, two):
        assert owner.get(f"/tasks/{unmoved['id']}").json() == unmoved
    for place in ({"before": two["id"]}, {"after": one["id"]}, {"after": three["id"]}, {"before": three["id"]}):
        assert owner.patch(f"/tasks/{three['id']}", place).json() == moved
    assert owner.patch(f"/tasks/{two['id']}", {"before": None}).json() == two


def test_given_a_place_beside_a_task_that_is_elsewhere_then_400_points_at_it(owner: Api, project: str) -> None:
    elsewhere = f"/projects/{created(owner)['id']}"
    here, there = task(owner, project), task(owner, elsewhere)
    for side in ("before", "after"):
        refused = owner.patch(f"/tasks/{here['id']}", {side: there["id"]})
        assert pointers(refused) == [f"/{side}"]
    assert pointers(owner.patch(f"/tasks/{here['id']}", {"after": None, "before": None})) == [""]
    assert owner.get(f"/tasks/{here['id']}").json() == here


def test_given_two_tasks_with_no_room_between_them_then_409_says_what_to_do_and_doing_it_helps(
    owner: Api, project: str
) -> None:
    one, two, three = (task(owner, project)["id"] for _ in range(3))
    for task_id, position in ((one, "V" * 499 + "1"), (two, "V" * 499 + "2")):
        execute("UPDATE tasks SET position = %(position)s WHERE id = %(id)s", id=task_id, position=position)
    assert "Move one of the tasks" in problem(owner.patch(f"/tasks/{three}", {"after": one}), 409)["detail"]
    for place in ({"after": None}, {"after": one}):
        assert owner.patch(f"/tasks/{two}", place).status == 200
    assert owner.patch(f"/tasks/{three}", {"after": one}).status == 200
    assert in_order(project) == [one, three, two]


def test_given_many_who_move_and_add_at_once_then_all_of_it_happens_and_nobody_is_kept_waiting_in_a_circle(
    owner: Api, project: str
) -> None:
    editors = [owner, *(member(owner, project) for _ in range(3))]
    there = [task(owner, project)["id"] for _ in range(6)]
    made: list[str] = []

    def work(n: int) -> list[int]:
        editor, answers = editors[n % len(editors)], []
        for step in range(8):
            this, that = there[(n + step) % 6], there[(n * 5 + step * 3 + 1) % 6]
            side = "before" if step % 2 else "after"
            answers.append(editor.patch(f"/tasks/{this}", {side: that, "title": f"{n} {step}"}).status)
            new = editor.post("/tasks", {"project_id": id_of(project), "title": "New", side: that})
            answers.append(new.status)
            made.append(new.json()["id"])
        return answers

    with ThreadPoolExecutor(6) as pool:
        statuses = [status for answers in pool.map(work, range(6)) for status in answers]
    assert set(statuses) == {200, 201}
    assert sorted(in_order(project)) == sorted(there + made)
    assert listed(owner, project_id=id_of(project), limit=100) == in_order(project)
    versions = execute("SELECT version FROM tasks WHERE id = ANY(%(ids)s::uuid[])", ids=there)
    assert sum(row.version - 1 for row in versions) == 48


@pytest.mark.parametrize("place", [{"before": None}, {"after": None}])
def test_given_many_who_move_different_tasks_to_one_place_then_each_has_a_position_of_its_own(
    owner: Api, project: str, place: dict[str, None]
) -> None:
    there = [task(owner, project)["id"] for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda id: owner.patch(f"/tasks/{id}", place).status, there))
    assert statuses == [200] * 8
    assert sorted(in_order(project)) == sorted(there)
