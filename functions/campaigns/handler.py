"""Lambda entry of `campaigns`."""

import quintet.http.coldstart  # noqa: F401  (first)
from functions.campaigns.assignments import routes as assignments
from functions.campaigns.campaigns import routes as campaigns
from functions.campaigns.contacts import routes as contacts
from functions.campaigns.data import routes as data
from quintet.http.app import create_app, lambda_handler

app = create_app(campaigns.router, assignments.router, contacts.router, data.router)
handler = lambda_handler(app)
