"""Lambda entry of `upload_processor`."""

import quintet.coldstart  # noqa: F401  (first)
from functions.upload_processor.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
