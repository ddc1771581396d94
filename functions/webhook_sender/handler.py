"""Lambda entry of `webhook_sender`: the `webhooks` queue."""

import quintet.coldstart  # noqa: F401  (first)
from functions.webhook_sender.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
