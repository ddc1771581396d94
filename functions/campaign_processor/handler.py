"""Lambda entry of `campaign_processor`: the `campaigns` queue."""

import quintet.coldstart  # noqa: F401  (first)
from functions.campaign_processor.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
