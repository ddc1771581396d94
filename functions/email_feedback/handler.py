"""Lambda entry of `email_feedback`: the `email_feedback` queue."""

import quintet.coldstart  # noqa: F401  (first)
from functions.email_feedback.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
