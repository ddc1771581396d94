"""Lambda entry of `events`."""

from functions.events.routes import router
from quintet.http.app import create_app, lambda_handler

app = create_app(router)
handler = lambda_handler(app)
