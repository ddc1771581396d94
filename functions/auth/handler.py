"""Lambda entry of `auth`."""

from functions.auth import pages, routes
from quintet.http.app import create_app, lambda_handler

app = create_app(routes.router, pages.router)
handler = lambda_handler(app)
