"""Lambda entry of `notifications`."""

import quintet.http.coldstart  # noqa: F401  (first)
from functions.notifications import pages, routes
from functions.notifications.push import routes as push
from quintet.http.app import create_app, lambda_handler

app = create_app(routes.router, push.router, pages.router)
handler = lambda_handler(app)
