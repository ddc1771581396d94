"""Lambda entry of `email_sender`: the `email` queue."""

import quintet.coldstart  # noqa: F401  (first)
from functions.email_sender.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
