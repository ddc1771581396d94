"""Lambda entry of `upload_processor`."""

from functions.upload_processor.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
