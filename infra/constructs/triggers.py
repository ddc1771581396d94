"""What starts the functions that no request starts: queues, schedules, and a deployment."""

from collections.abc import Iterable, Mapping

from aws_cdk import Duration, triggers
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Environment
from infra.constructs.function import ServiceFunction
from infra.constructs.queues import QueuePair, dead_letter_queue
from infra.nag import acknowledge


def feed_from_queues(functions: Iterable[ServiceFunction], queues: Mapping[str, QueuePair]) -> None:
    """Each consumer gets its queue's messages, and answers which of a batch it could not do."""
    for function in functions:
        queue = function.manifest.queue
        if queue is None:
            continue
        acknowledge(function, "Serverless-LambdaEventSourceMappingDestination")
        function.function.add_event_source(
            sources.SqsEventSource(
                queues[queue.name].queue,
                batch_size=queue.batch_size,
                max_concurrency=queue.max_concurrency,
                report_batch_item_failures=True,
            )
        )


class Schedules(Construct):
    """A rule per scheduled function. What fails to start, or fails three times, waits in `dead_letters`."""

    dead_letters: sqs.Queue

    def __init__(self, scope: Construct, id: str, *, env: Environment, functions: Iterable[ServiceFunction]) -> None:
        super().__init__(scope, id)
        self.dead_letters = dead_letter_queue(self, "DeadLetters", name=f"{env.prefix}-schedules-dead-letters")
        for function in functions:
            if not function.manifest.schedule:
                continue
            patience = Duration.seconds(max(60, function.manifest.timeout))
            function.function.configure_async_invoke(
                on_failure=destinations.SqsDestination(self.dead_letters),
                max_event_age=patience,
                retry_attempts=2,
            )
            events.Rule(
                self,
                function.name,
                rule_name=f"{env.prefix}-{function.name}",
                description=function.manifest.description,
                schedule=events.Schedule.expression(function.manifest.schedule),
                targets=[
                    targets.LambdaFunction(
                        function.function,
                        dead_letter_queue=self.dead_letters,
                        max_event_age=patience,
                        retry_attempts=2,
                    )
                ],
            )


def run_on_deploy(scope: Construct, functions: Iterable[ServiceFunction]) -> None:
    """Invoke the `on_deploy` functions when they change, and let no other change before they have succeeded."""
    functions = list(functions)
    others = [function for function in functions if not function.manifest.on_deploy]
    for function in functions:
        if not function.manifest.on_deploy:
            continue
        triggers.Trigger(
            scope,
            f"Run-{function.name}",
            handler=function.function,
            timeout=Duration.seconds(function.manifest.timeout),
            execute_before=others,
        )
