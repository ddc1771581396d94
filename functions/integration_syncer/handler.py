"""Lambda entry of `integration_syncer`: the `integrations` queue."""

import quintet.coldstart  # noqa: F401  (first)
from functions.integration_syncer.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
