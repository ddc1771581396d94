"""From a question to the first word of its answer, beside what the model itself takes for that.

On a whole stand, as `make run` has it, whose model is a server of our own.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import psycopg

from tests.e2e.stand import PASSWORD, Stand
from tests.load.measure import interleaved
from tests.support.assisting import question
from tests.support.language_model import model, saying

PAUSES = (0.05, 0.4)
"""Seconds the model thinks before its first word: a quick one, and a usual one."""


def first_words(folder: Path, *, rounds: int) -> dict[float, dict[str, float]]:
    """For each of `PAUSES`: seconds to the first word, the model asked directly (`model`) and through us (`ours`)."""
    found = {}
    for pause in PAUSES:
        with model(saying("First ", "words.", pause=pause)) as played:
            settings = {"AI_PROVIDER": "openai", "AI_BASE_URL": played.url, "AI_MODEL": "measured"}
            stand = Stand(folder / f"{pause:g}", environment=settings)
            stand.start()
            try:
                found[pause] = _measured(stand, played.url, rounds)
            finally:
                stand.close()
    return found


def _measured(stand: Stand, url: str, rounds: int) -> dict[str, float]:
    stand.sign_up("asker@example.com")
    with (
        httpx2.Client(base_url=stand.url, timeout=60) as api,
        httpx2.Client(timeout=60) as direct,
        psycopg.connect(stand.running().environment["DATABASE_OWNER_URL"], autocommit=True) as database,
    ):
        signed = api.post("/login", json={"email": "asker@example.com", "password": PASSWORD})
        api.headers["authorization"] = f"Bearer {signed.json()['access_token']}"
        prompt = {"model": "measured", "messages": [{"role": "user", "content": "Well?"}], "stream": True}

        def ours() -> float:
            database.execute("DELETE FROM rate_counters")
            return _first_word(api, f"{stand.url}/ai/chat", question("Well?", uuid4().hex))

        def models() -> float:
            return _first_word(direct, f"{url}/chat/completions", prompt)

        actions: dict[str, Callable[[], float]] = {"ours": ours, "model": models}
        return interleaved(rounds, **actions)


def _first_word(client: httpx2.Client, url: str, body: Any) -> float:
    began, first = time.perf_counter(), 0.0
    with client.stream("POST", url, content=json.dumps(body), headers={"content-type": "application/json"}) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if not first and "First" in line:
                first = time.perf_counter() - began
    assert first
    return first
