"""Lambda entry of `integrations`."""

import quintet.http.coldstart  # noqa: F401  (first)
from functions.integrations import authorizing, routes
from quintet.http.app import create_app, lambda_handler

app = create_app(authorizing.router, routes.router)
handler = lambda_handler(app)
