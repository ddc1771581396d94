"""The AsyncAPI 3.0 document of the WebSocket API, made of the models of its frames.

`python -m infra.asyncapi` writes it; a test fails when that is not what the code says.
"""

import json
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from functions.manifest import ASYNCAPI_DOCUMENT
from functions.realtime.frames import ClientFrame, ServerFrame
from functions.realtime.queries import MOST
from quintet.events.types import LIVE

DOCUMENT = Path(__file__).parents[1] / ASYNCAPI_DOCUMENT

DESCRIPTION = f"""\
What happens, as it happens, over a WebSocket; the other way, who types and who is there.

- **Connecting.** `POST /realtime/tickets` gives a ticket and an address: connect to `<url>?ticket=<ticket>` within 30
  seconds. A ticket works once; one that is no good is answered 401. The connection ends with the session that the
  ticket was got with, and after two hours at the latest: connect again. One person has {MOST} connections: one more
  takes the place of the one that was silent for longest (`replaced`).
- **The client rule.** Keep the cursor of the last `replayed` frame. After each connect send `replay` with it (`latest`
  for the first time), and again with `next_cursor` while there is `more`. **Drop events whose `id` you have seen; order
  events by `position`; only `replayed` moves the cursor.** So nothing is missed and nothing seen twice: an `events`
  frame may come twice, late, before an older one, or not at all when the connection breaks.
- **Who gets what.** Everybody gets what concerns their account, projects, conversations and campaigns, as of the moment
  it is handed out: who is taken off a conversation gets nothing of it any more.
- **Frames** are JSON in text frames, ours and yours, 32 KB at most; a larger one closes the connection (1009), as does
  a binary one (1003). What is wrong with a frame is said in an `error`. Frames are worked on side by side, so answers
  may come in another order: give a frame an `id`, and its answer has that. More than 200 frames in ten seconds, or 400
  of one person, close the connection, too; of `typing` and of changes of presence one a second is enough, of `replay`
  and `presence` two (`slow_down`).
- **Staying.** Send `ping` every five minutes. A connection that does not take what is sent to it is closed.
- **Presence and typing** are not events and not replayed. Who types does not any more when `expires_in` is over.
  Somebody is there from the first frame of a connection until that ends, or twelve minutes after its last frame, of
  which nothing tells. Coming and going is announced in conversations of up to 20; `presence` asks about all.
"""

_REF = "#/components/schemas/{model}"


def build() -> dict[str, Any]:
    """The document, deterministic."""
    sent, received = get_args(ClientFrame), get_args(ServerFrame)
    names = [_name(model) for model in (*sent, *received)]
    _, schemas = models_json_schema(
        [*((model, "validation") for model in sent), *((model, "serialization") for model in received)],
        ref_template=_REF,
    )
    definitions = schemas["$defs"]
    definitions["EventInFrame"]["properties"]["type"]["examples"] = sorted(LIVE)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Quintet in real time", "version": "1", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": "/",
                "description": "The `url` that a ticket comes with.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "query": {
                            "type": "object",
                            "required": ["ticket"],
                            "properties": {"ticket": {"type": "string", "description": "Of `POST /realtime/tickets`."}},
                        },
                    }
                },
            }
        },
        "operations": {
            # From the server's side: it receives what clients send.
            "receive": _operation("receive", "What clients send.", sent),
            "send": _operation("send", "What clients get.", received),
        },
        "components": {
            "messages": {_name(model): _message(model) for model in (*sent, *received)},
            "schemas": dict(sorted(definitions.items())),
        },
    }


def rendered() -> str:
    """The document as the file holds it."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def _message(model: type[BaseModel]) -> dict[str, Any]:
    return {"summary": " ".join((model.__doc__ or "").split()), "payload": {"$ref": _REF.format(model=_name(model))}}


def _operation(action: str, summary: str, models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    messages = [{"$ref": f"#/channels/socket/messages/{_name(model)}"} for model in models]
    return {"action": action, "summary": summary, "channel": {"$ref": "#/channels/socket"}, "messages": messages}


if __name__ == "__main__":
    DOCUMENT.write_text(rendered())
    sys.stdout.write(f"{DOCUMENT.name} is up to date.\n")
