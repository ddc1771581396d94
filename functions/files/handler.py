"""Lambda entry of `files`."""

import quintet.http.coldstart  # noqa: F401  (first)
from functions.files.folders import routes as folders
from functions.files.stored import routes as stored
from functions.files.uploads import routes as uploads
from quintet.http.app import create_app, lambda_handler

# Uploads first: /files/presign-upload is no file's id.
app = create_app(folders.router, uploads.router, stored.router)
handler = lambda_handler(app)
