"""Lambda entry of `courses`."""

import quintet.http.coldstart  # noqa: F401  (first)
from functions.courses.courses import routes as courses
from functions.courses.enrollments import routes as enrollments
from functions.courses.lessons import routes as lessons
from quintet.http.app import create_app, lambda_handler

app = create_app(courses.router, enrollments.router, lessons.router)
handler = lambda_handler(app)
