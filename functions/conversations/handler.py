"""Lambda entry of `conversations`."""

import quintet.http.coldstart  # noqa: F401  (first)
from functions.conversations.conversations import routes as conversations
from functions.conversations.members import routes as members
from functions.conversations.messages import routes as messages
from functions.conversations.search import routes as search
from quintet.http.app import create_app, lambda_handler

app = create_app(conversations.router, members.router, search.router, messages.router)
handler = lambda_handler(app)
