"""Every operation tried by everybody, against what `tests.support.access` says."""

import importlib
import re

import pytest

from infra.local.events import Response
from tests.support.access import ACCESS, ACTORS, ANONYMOUS, EDITOR, MEMBER, OWNER, ROLES, Access
from tests.support.api import Api
from tests.support.documented import operation_of, operations
from tests.support.people import person
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("stack")


def actor_in(world: World, actor: str) -> Api:
    """The client that stands for an actor."""
    if actor == ANONYMOUS:
        return Api()
    members = {OWNER, EDITOR, MEMBER}
    client: Api = getattr(world, actor) if actor in members else person(actor)
    return client


def attempt(world: World, client: Api, key: str, access: Access) -> Response:
    """The request of a row, by this client."""
    method, template = key.split()[:2]
    parts = access.sends(world)
    names = re.findall(r"\{(\w+)\}", template)
    given = access.path(world)
    path = template.format_map({name: given[name] if name in given else getattr(world, name) for name in names})
    if "query" in parts:
        parts = {**parts, "query": list(parts["query"].items())}
    return client.request(method, path, **parts)


def test_given_the_table_then_it_has_every_operation_and_no_other() -> None:
    assert {" ".join(key.split()[:2]) for key in ACCESS} == operations().keys()


def test_given_the_table_then_it_has_every_seeded_role() -> None:
    migration = importlib.import_module("functions.db_migrator.versions.0001_foundation")
    assert set(re.findall(r"^    \('(\w+)'", migration.ROLES, re.MULTILINE)) == ROLES


@pytest.mark.parametrize("key", ACCESS)
def test_given_an_operation_when_anybody_tries_it_then_they_are_answered_as_they_may(key: str) -> None:
    access, answers = ACCESS[key], {}
    for actor in ACTORS:
        world = World()
        client = actor_in(world, actor)
        answers[actor] = attempt(world, client, key, access)
    seen = {actor: 200 if answer.status < 400 else answer.status for actor, answer in answers.items()}
    assert seen == {actor: access.status(actor) for actor in ACTORS}


@pytest.mark.parametrize("key", [key for key, access in ACCESS.items() if "{" in key and access.hides])
def test_given_something_that_is_not_there_then_it_looks_like_what_one_may_not_see(key: str) -> None:
    access, world = ACCESS[key], World()
    hidden = attempt(world, world.newcomer, key, access)
    method, template = key.split()[:2]
    path = re.sub(r"\{\w+_id\}", "01900000-0000-7000-8000-000000000000", template).format_map(access.path(world))
    parts = access.sends(world)
    missing = world.newcomer.request(method, path, **{**parts, "query": list(parts.get("query", {}).items())})
    assert operation_of(method, path)
    assert (hidden.status, missing.status) == (404, 404)
    assert {**hidden.json(), "instance": ""} == {**missing.json(), "instance": ""}


@pytest.mark.parametrize("key", [key for key in ACCESS if ANONYMOUS not in ACCESS[key].ok])
@pytest.mark.parametrize("authorization", ["Bearer x.y.z", "Bearer", "Basic dTpw", "Bearer \u00e9", ""])
def test_given_no_good_token_then_every_closed_operation_is_401(key: str, authorization: str) -> None:
    method, template = key.split()[:2]
    path = re.sub(r"\{\w+\}", "01900000-0000-7000-8000-000000000000", template)
    answer = Api().request(method, path, headers={"authorization": authorization})
    assert answer.status == 401
    assert answer.header("x-amzn-remapped-www-authenticate") == 'Bearer realm="quintet"'
