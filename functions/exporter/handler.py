"""Lambda entry of `exporter`: the `exports` queue."""

import quintet.coldstart  # noqa: F401  (first)
from functions.exporter.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
