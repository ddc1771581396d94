"""The entry of `ai`: `server` is what uvicorn serves behind Lambda Web Adapter, by `run.sh`.

`handler` is the same for one event, its answer whole: where nothing streams, as in a rehearsal and in tests.
"""

import quintet.http.coldstart  # noqa: F401  (first)
from functions.ai.routes import router
from quintet.http.app import create_app, lambda_handler
from quintet.http.served import served

app = create_app(router)
server = served(app, function="ai")
handler = lambda_handler(app)
