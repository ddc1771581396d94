"""Lambda entry of `users`."""

import quintet.http.coldstart  # noqa: F401  (first)
from functions.users.accounts import routes as accounts
from functions.users.divisions import routes as divisions
from functions.users.exports import routes as exports
from functions.users.leaving import routes as leaving
from functions.users.roles import routes as roles
from quintet.http.app import create_app, lambda_handler

app = create_app(leaving.router, exports.router, accounts.users, accounts.admin, roles.router, divisions.router)
handler = lambda_handler(app)
