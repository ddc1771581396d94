"""Lambda entry of `files`."""

from functions.files import routes, routes_folders, routes_uploads
from quintet.http.app import create_app, lambda_handler

# Uploads first: /files/presign-upload is no file's id.
app = create_app(routes_folders.router, routes_uploads.router, routes.router)
handler = lambda_handler(app)
