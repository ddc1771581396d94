"""Lambda entry of `auth`."""

import quintet.http.coldstart  # noqa: F401  (first)
from functions.auth import pages, routes
from functions.auth.oauth import routes as oauth
from quintet.http.app import create_app, lambda_handler

app = create_app(routes.router, pages.router, oauth.browsers, oauth.router)
handler = lambda_handler(app)
