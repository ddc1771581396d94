"""Lambda entry of `realtime_broadcaster`: the `realtime` queue."""

import quintet.coldstart  # noqa: F401  (first)
from functions.manifest import FUNCTIONS, lease
from functions.realtime_broadcaster.service import broadcast
from quintet.events.consumer import batch_consumer

handler = batch_consumer(broadcast, destination="realtime", lease_seconds=lease(FUNCTIONS["realtime_broadcaster"]))
