#!/bin/sh
# What Lambda Web Adapter starts, in place of Lambda's own runtime: one server, which is given one request at a time.
cd "$LAMBDA_TASK_ROOT" || exit
export PYTHONPATH="$LAMBDA_TASK_ROOT:/opt/python:$LAMBDA_RUNTIME_DIR${PYTHONPATH:+:$PYTHONPATH}"
exec python -m uvicorn functions.ai.handler:server --host 127.0.0.1 --port "$AWS_LWA_PORT" \
    --http h11 --ws none --lifespan off --no-access-log --no-server-header --no-proxy-headers --log-level warning
