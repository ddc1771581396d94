"""What the rehearsal makes of the templates: each rule is needed, and what it takes away is looked at here instead."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.local.deployment import STACKS
from infra.local.rehearsal import GAPS
from infra.local.templates import REJECTED, RULES, UNKNOWN, Place, Template, adapted, embedded_database
from tests.infra.conftest import Synthesised


class Anywhere(dict[str, Path]):
    """Every layer is in a folder of its name."""

    def __missing__(self, key: str) -> Path:
        return Path("/layers") / key


PLACE = Place("http://127.0.0.1:4566", "postgresql://app@127.0.0.1", "postgresql://owner@127.0.0.1", Anywhere())
AS_IT_IS = (
    "AWS::SQS::Queue",
    "AWS::S3::Bucket",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Events::Rule",
    "Custom::Trigger",
)


@pytest.fixture(scope="session")
def templates(environments: dict[str, Synthesised]) -> list[Template]:
    """All that are deployed."""
    files = [
        env.folder / f"quintet-{name}-{stack}.template.json" for name, env in environments.items() for stack in STACKS
    ]
    return [json.loads(file.read_text()) for file in files]


def test_each_rule_has_its_reason_and_changes_something(templates: list[Template]) -> None:
    for rule in RULES:
        before = json.dumps(templates)
        templates = [rule(template, PLACE) for template in json.loads(before)]
        assert rule.__doc__
        assert json.dumps(templates) != before, f"{rule.__name__} can go"


@pytest.mark.parametrize("kind", REJECTED)
def test_a_type_that_is_taken_out_is_in_some_template(templates: list[Template], kind: str) -> None:
    assert any(resource["Type"] == kind for template in templates for resource in template["Resources"].values())


@pytest.mark.parametrize("attribute", UNKNOWN)
def test_an_attribute_that_is_replaced_is_in_some_template(templates: list[Template], attribute: str) -> None:
    assert any(attribute in json.dumps(template) for template in templates)


def test_what_is_left_refers_to_nothing_that_was_taken_out(templates: list[Template]) -> None:
    for template in templates:
        left = adapted(template, PLACE)
        gone = template["Resources"].keys() - left["Resources"].keys()
        text = json.dumps(left)
        assert gone
        assert not [name for name in gone if f'"{name}"' in text]


def test_all_else_is_as_it_is_deployed(templates: list[Template]) -> None:
    for template in templates:
        left = adapted(template, PLACE)["Resources"]
        for name, resource in template["Resources"].items():
            if resource["Type"] in AS_IT_IS:
                assert left[name] == resource


def test_a_function_that_is_not_told_the_way_to_the_database_is_named() -> None:
    function: dict[str, Any] = {
        "Type": "AWS::Lambda::Function",
        "Properties": {"FunctionName": "quintet-dev-tasks", "Environment": {"Variables": {"DATABASE_SERVER": "x"}}},
    }
    with pytest.raises(ValueError, match="tasks is not told DATABASE_HOST"):
        embedded_database({"Resources": {"Tasks": function}}, PLACE)


@pytest.mark.parametrize("test", GAPS.values(), ids=GAPS)
def test_what_is_not_rehearsed_is_asserted_where_it_is_said_to_be(test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (Path(__file__).parent / file).read_text(), re.MULTILINE)
