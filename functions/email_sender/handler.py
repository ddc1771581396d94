"""Lambda entry of `email_sender`: the `email` queue."""

from functions.email_sender.service import process
from quintet.events.consumer import consumer

handler = consumer(process)
