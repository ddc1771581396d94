"""Lambda entry of `integrations`."""

import quintet.http.coldstart  # noqa: F401  (first)
from functions.integrations.routes import router
from quintet.http.app import create_app, lambda_handler

app = create_app(router)
handler = lambda_handler(app)
