"""The manifest, the folders and the routes say the same."""

import importlib
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from functions import manifest
from functions.manifest import CATCH_ALL, FUNCTIONS, PREFIXES, QUEUES, ROUTES, handler_path
from quintet.events.types import DELIVERED_TO, WEBHOOK_TYPES, EventType
from quintet.http import envelope
from quintet.http.routing import Route

API = [name for name, function in FUNCTIONS.items() if function.routes]


def test_given_the_folders_then_each_is_a_function_of_the_manifest_and_the_other_way_round(repository: Path) -> None:
    folders = {path.parent.name for path in (repository / "functions").glob("*/*.py")}
    assert folders == FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_given_a_function_then_its_handler_imports_and_its_folder_says_what_it_is(name: str, repository: Path) -> None:
    path = handler_path(name)
    if FUNCTIONS[name].streams:  # a script starts its server
        script = repository / path
        assert script.stat().st_mode & 0o111
        [path] = re.findall(r"functions\.\w+\.handler:\w+", script.read_text())
    module, _, attribute = path.replace(":", ".").rpartition(".")
    assert callable(getattr(importlib.import_module(module), attribute))
    assert module == f"functions.{name}.handler"
    assert importlib.import_module(f"functions.{name}").__doc__


@pytest.mark.parametrize("name", API)
def test_given_an_api_function_then_its_routes_begin_with_its_segments_and_use_each(name: str) -> None:
    app: FastAPI = importlib.import_module(f"functions.{name}.handler").app
    routes = list(iter_route_contexts(app.routes))
    segments = {(route.path or "").split("/")[1] for route in routes}
    assert segments == set(FUNCTIONS[name].routes)
    for route in routes:
        # Ours: a plain APIRoute would forget the answers of requests with an Idempotency-Key.
        assert isinstance(route.original_route, Route), route.path


def test_given_every_function_then_exactly_one_thing_triggers_it_and_it_names_only_what_exists() -> None:
    for name, function in FUNCTIONS.items():
        triggers = [bool(function.routes), function.queue is not None, bool(function.schedule), function.on_deploy]
        assert triggers.count(True) == 1, name
        assert function.sends_to | function.looks_at <= QUEUES.keys(), name
        assert not function.sends_to & function.looks_at, f"{name} may look at what it sends to"
        assert function.description, name
        longest = 900 if function.streams else 29
        assert not function.routes or function.timeout <= longest, f"API Gateway waits no longer for {name}"
    assert len(ROUTES) == sum(len(FUNCTIONS[name].routes) for name in API), "two functions answer one segment"
    assert CATCH_ALL in API
    [websocket] = [function for function in FUNCTIONS.values() if function.websocket]
    assert websocket.routes, "it is published as those are, with an alias that the API calls"


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"email_sender", "notifier"}))  # which act on them
def test_given_the_events_a_function_records_then_it_may_send_to_their_queues(name: str, repository: Path) -> None:
    sources = "".join(path.read_text() for path in (repository / "functions" / name).rglob("*.py"))
    recorded = re.findall(r"EventType\.([A-Z_]+)", sources)
    if "record_removed(" in sources:  # of quintet.files.events
        recorded.append(EventType.FILE_REMOVED.name)
    queues = {queue for event in recorded for queue in DELIVERED_TO.get(EventType[event], ())}
    if any(EventType[event] in WEBHOOK_TYPES for event in recorded):
        queues.add("webhooks")
    assert queues <= FUNCTIONS[name].sends_to


def test_given_the_prefixes_then_manifest_and_envelope_agree() -> None:
    assert (*envelope.PREFIXES, "") == PREFIXES
    assert PREFIXES[0] == envelope.CANONICAL
    for segment in ROUTES:
        for prefix in PREFIXES:
            assert envelope.normalise(f"{prefix}/{segment}/x") == f"/{segment}/x"
    # The longest is first, so that it is stripped first.
    assert sorted(PREFIXES, key=len, reverse=True) == list(PREFIXES)


def test_given_the_manifest_then_it_needs_nothing_but_the_standard_library(repository: Path) -> None:
    source = Path(manifest.__file__).read_text()
    imported = [line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert set(imported) == {"dataclasses", "enum"}
    assert Path(manifest.__file__).is_relative_to(repository)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_given_what_a_function_ships_then_it_is_in_the_repository(name: str, repository: Path) -> None:
    for path in FUNCTIONS[name].ships:
        assert (repository / path).is_file(), f"{name} ships {path}; `make openapi` writes the API's document"
