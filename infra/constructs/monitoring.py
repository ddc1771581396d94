"""The dashboard, and the alarms that wake somebody."""

from collections.abc import Iterable, Mapping, Sequence

import cdk_monitoring_constructs as monitoring
from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as websockets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from functions.manifest import FUNCTIONS, QUEUES, visibility_timeout
from infra.config import Environment
from infra.constructs.function import ServiceFunction
from infra.data_stack import DataStack
from quintet.observability import METRICS_NAMESPACE

MAX_ERROR_RATE = 0.05
MAX_RELEASE_ERROR_RATE = 0.01  # of all traffic, while a tenth of one function's meets the new code
MAX_CPU_PERCENT = 80
MAX_API_LATENCY = Duration.seconds(3)
MAX_TIMEOUT_PERCENT = 80  # p99 of what no client waits for
MAX_PINNED_SESSIONS = 5
MAX_SOCKET_ERRORS = 10  # in five minutes
MIN_PARTITIONS_AHEAD = 2
_MIN_FREE_STORAGE = 0.1
_MIN_AGE_SECONDS = 900


class Monitoring(Construct):
    """Alarms go to the data stack's topic; its subscribers are an email address and a Slack channel."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        env: Environment,
        data: DataStack,
        functions: Sequence[ServiceFunction],
        api: apigateway.RestApiBase,
        websocket: websockets.WebSocketApi,
        acl: waf.CfnWebACL,
        schedule_dead_letters: sqs.IQueue,
    ) -> None:
        super().__init__(scope, id)
        self._facade = monitoring.MonitoringFacade(
            self,
            env.prefix,
            alarm_factory_defaults=monitoring.AlarmFactoryDefaults(
                actions_enabled=True,
                alarm_name_prefix=env.prefix,
                action=monitoring.SnsAlarmActionStrategy(on_alarm_topic=data.alarm_topic, on_ok_topic=data.alarm_topic),
                evaluation_periods=2,
                datapoints_to_alarm=2,
            ),
            metric_factory_defaults=monitoring.MetricFactoryDefaults(),
            dashboard_factory=monitoring.DefaultDashboardFactory(
                self,
                "Dashboards",
                dashboard_name_prefix=env.prefix,
                create_dashboard=True,
                create_summary_dashboard=False,
                create_alarm_dashboard=False,
            ),
        )
        self._api(api, env)
        self._websocket(websocket, env)
        self._database(data, env)
        self._own_metrics(env)
        self._queues(data, schedule_dead_letters)
        self._functions(functions)
        self._facade.monitor_web_application_firewall_acl_v2(acl=acl, region=data.region)

    def release_alarms(self, function: str) -> list[cloudwatch.IAlarm]:
        """What stops a release of this API function and takes it back."""
        alarms = [a for tag in (_tag(function), _tag("api")) for a in self._facade.created_alarms_with_tag(tag)]
        return [alarm.alarm for alarm in alarms]

    def _api(self, api: apigateway.RestApiBase, env: Environment) -> None:
        self._facade.add_large_header(f"{env.prefix}: API")
        self._facade.monitor_api_gateway(
            api=api,
            api_stage=env.name,
            human_readable_name="API",
            alarm_friendly_name="api",
            # The application answers its own failures, so that no function counts them: only the API does.
            add5_xx_fault_rate_alarm={"Errors": _ERRORS, "Release": _release_errors("api")},
            # The median: answers that stream take as long as they like. Of the others each function has its p99.
            add_latency_p50_alarm={"Slow": monitoring.LatencyThreshold(max_latency=MAX_API_LATENCY)},
        )

    def _websocket(self, api: websockets.WebSocketApi, env: Environment) -> None:
        self._facade.add_large_header(f"{env.prefix}: real time")
        self._custom(
            "IntegrationError",
            namespace="AWS/ApiGateway",
            dimensions={"ApiId": api.api_id, "Stage": env.name},
            statistic=monitoring.MetricStatistic.SUM,
            alarm=monitoring.CustomThreshold(
                threshold=MAX_SOCKET_ERRORS,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                additional_description="Connections or frames of the WebSocket API fail before `realtime` answers.",
                treat_missing_data_override=cloudwatch.TreatMissingData.NOT_BREACHING,
            ),
        )

    def _database(self, data: DataStack, env: Environment) -> None:
        self._facade.add_large_header("Database")
        free = env.database_storage_gb * 1024**3 * _MIN_FREE_STORAGE
        self._facade.monitor_rds_instance(
            instance=data.database.instance,
            alarm_friendly_name="database",
            add_cpu_usage_alarm={"Busy": monitoring.UsageThreshold(max_usage_percent=MAX_CPU_PERCENT)},
            add_free_storage_space_alarm={"Full": monitoring.MinUsageCountThreshold(min_count=free)},
        )
        if data.database.proxy:
            self._custom(
                "DatabaseConnectionsCurrentlySessionPinned",
                namespace="AWS/RDS",
                dimensions={"ProxyName": data.database.proxy.db_proxy_name},
                statistic=monitoring.MetricStatistic.MAX,
                alarm=monitoring.CustomThreshold(
                    threshold=MAX_PINNED_SESSIONS,
                    comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                    additional_description="Something prepares statements or sets session state.",
                    treat_missing_data_override=cloudwatch.TreatMissingData.NOT_BREACHING,
                ),
            )

    def _own_metrics(self, env: Environment) -> None:
        """Numbers the functions write. Without any for two periods the function does not run, which is as bad."""
        self._facade.add_large_header("Events")
        self._custom(
            "PartitionsAhead",
            namespace=METRICS_NAMESPACE,
            dimensions={"service": "maintenance", "environment": env.name},
            statistic=monitoring.MetricStatistic.MIN,
            period=Duration.days(1),
            alarm=monitoring.CustomThreshold(
                threshold=MIN_PARTITIONS_AHEAD,
                comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
                additional_description="Without a partition for its month no event, and so no change, can be written.",
                treat_missing_data_override=cloudwatch.TreatMissingData.BREACHING,
            ),
        )
        self._custom(
            "DeliveriesStuck",
            namespace=METRICS_NAMESPACE,
            dimensions={"service": "event_dispatcher", "environment": env.name},
            statistic=monitoring.MetricStatistic.MAX,
            alarm=monitoring.CustomThreshold(
                threshold=0,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                additional_description="An email, upload or other effect of an event was given up; the log says which.",
                treat_missing_data_override=cloudwatch.TreatMissingData.BREACHING,
            ),
        )

    def _queues(self, data: DataStack, schedule_dead_letters: sqs.IQueue) -> None:
        self._facade.add_large_header("Queues")
        not_empty = monitoring.MaxMessageCountThreshold(
            max_message_count=0, evaluation_periods=1, datapoints_to_alarm=1
        )
        for name, pair in data.queues.items():
            attempts = 2 * visibility_timeout(FUNCTIONS[QUEUES[name]])
            age = monitoring.MaxMessageAgeThreshold(max_age_in_seconds=max(_MIN_AGE_SECONDS, attempts))
            self._facade.monitor_sqs_queue_with_dlq(
                queue=pair.queue,
                dead_letter_queue=pair.dead_letters,
                human_readable_name=name,
                alarm_friendly_name=name,
                add_queue_max_message_age_alarm={"Late": age},
                add_dead_letter_queue_max_size_alarm={"Dead": not_empty},
            )
        self._facade.monitor_sqs_queue(
            queue=schedule_dead_letters,
            human_readable_name="Schedules that failed",
            alarm_friendly_name="schedules",
            add_queue_max_size_alarm={"Dead": not_empty},
        )

    def _functions(self, functions: Iterable[ServiceFunction]) -> None:
        self._facade.add_large_header("Functions")
        for function in functions:
            slow = (
                monitoring.LatencyThreshold(max_latency=MAX_API_LATENCY)
                if function.manifest.routes and not function.manifest.streams
                else monitoring.LatencyTimeoutPercentageThreshold(max_latency_percentage_of_timeout=MAX_TIMEOUT_PERCENT)
            )
            self._facade.monitor_lambda_function(
                lambda_function=function.function,
                human_readable_name=function.name,
                alarm_friendly_name=function.name,
                is_iterator=False,
                add_fault_rate_alarm={
                    "Errors": _ERRORS,
                    **({"Release": _release_errors(function.name)} if function.manifest.routes else {}),
                },
                add_latency_p99_alarm={"Slow": slow},
            )

    def _custom(
        self,
        name: str,
        *,
        namespace: str,
        dimensions: Mapping[str, str],
        statistic: monitoring.MetricStatistic,
        alarm: monitoring.CustomThreshold,
        period: Duration | None = None,
    ) -> None:
        """A metric that the library has no helper for, with its alarm. The usual period is 5 minutes."""
        metric = self._facade.create_metric_factory().create_metric(
            name, statistic, name, dict(dimensions), None, namespace, period
        )
        alarmed = monitoring.CustomMetricWithAlarm(
            metric=metric, alarm_friendly_name=name, add_alarm={"Threshold": alarm}
        )
        self._facade.monitor_custom(
            human_readable_name=name,
            alarm_friendly_name=name,
            metric_groups=[monitoring.CustomMetricGroup(title=name, metrics=[alarmed])],
        )


_ERRORS = monitoring.ErrorRateThreshold(max_error_rate=MAX_ERROR_RATE)


def _release_errors(name: str) -> monitoring.ErrorRateThreshold:
    """Quick enough to stop a canary of five minutes, and too nervous to wake anybody: CodeDeploy alone looks."""
    return monitoring.ErrorRateThreshold(
        max_error_rate=MAX_RELEASE_ERROR_RATE,
        period=Duration.minutes(1),
        evaluation_periods=3,
        datapoints_to_alarm=2,
        actions_enabled=False,
        custom_tags=[_tag(name)],
    )


def _tag(name: str) -> str:
    return f"release-{name}"
