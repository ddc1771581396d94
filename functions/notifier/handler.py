"""Lambda entry of `notifier`: the `notifications` queue."""

import quintet.coldstart  # noqa: F401  (first)
from functions.notifier.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
