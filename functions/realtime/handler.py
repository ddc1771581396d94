"""Lambda entry of `realtime`: the REST API asks for tickets, the WebSocket API brings connections and their frames."""

from typing import Any

import quintet.http.coldstart  # noqa: F401  (first)
from functions.realtime.connection import on_event
from functions.realtime.routes import router
from quintet.http.app import create_app, lambda_handler
from quintet.observability import observed

app = create_app(router)
_rest = lambda_handler(app)
_websocket = observed(on_event)


def handler(event: dict[str, Any], context: Any) -> Any:
    """Answer either kind of event."""
    return (_websocket if "connectionId" in event["requestContext"] else _rest)(event, context)
