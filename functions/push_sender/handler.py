"""Lambda entry of `push_sender`: the `push` queue."""

import quintet.coldstart  # noqa: F401  (first)
from functions.push_sender.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
