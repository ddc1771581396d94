"""Structured logs: one logger per process, one request id everywhere.

Powertools Logger and Metrics; not its Tracer, which costs 350 ms of import (Lambda's own tracing is on).
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging import Logger

from quintet.config import settings

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

METRICS_NAMESPACE = "Quintet"

logger = Logger(service="quintet", use_rfc3339=True, utc=True)

LambdaHandler = Callable[[dict[str, Any], Any], Any]


def observed(handler: LambdaHandler) -> LambdaHandler:
    """Decorate a Lambda handler: its logs carry function and request id; Sentry, where configured, hears of errors.

    The last thing that happens before the first invocation.
    """
    from quintet import coldstart  # here, since nobody but a handler starts one

    _start_sentry()
    coldstart.over()

    @functools.wraps(handler)
    def wrapped(event: dict[str, Any], context: Any) -> Any:
        # Kept per thread of execution: the local run serves several invocations in one process.
        logger.thread_safe_clear_keys()
        id = context.aws_request_id
        logger.thread_safe_append_keys(function=context.function_name, function_request_id=id, request_id=id)
        return handler(event, context)

    return wrapped


def count_metric(name: str, value: float, *, function: str) -> None:
    """Put a number of `function` into CloudWatch, through the log (embedded metric format)."""
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    # Two environments may share an account.
    dimensions = {"service": function, "environment": settings().environment}
    with single_metric(name, MetricUnit.Count, value, namespace=METRICS_NAMESPACE, default_dimensions=dimensions):
        pass


def _start_sentry() -> None:
    if dsn := settings().sentry_dsn:
        import sentry_sdk
        from sentry_sdk.integrations.aws_lambda import AwsLambdaIntegration

        sentry_sdk.init(
            dsn=dsn,
            environment=settings().environment,
            integrations=[AwsLambdaIntegration()],
            include_local_variables=False,  # they hold passwords, tokens and emails
            before_send=_without_secrets,
        )


def _without_secrets(event: "Event", hint: "Hint") -> "Event":
    """Of the request only method and path: query, headers and body hold passwords and tokens, mailed ones too."""
    if request := event.get("request"):
        event["request"] = {key: request[key] for key in ("method", "url") if key in request}
    return event
