"""What a release changes: functions, the API before them, what starts them and what watches them."""

from collections.abc import Iterable, Mapping

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from functions.manifest import FUNCTIONS, Need
from infra.access import Access, access_table
from infra.bundling import dependencies_layer, shared_layer
from infra.config import Environment
from infra.constructs.cdn import Cdn
from infra.constructs.firewall import Firewall
from infra.constructs.function import ARCHITECTURE, RUNTIME, ServiceFunction
from infra.constructs.monitoring import Monitoring
from infra.constructs.release import canary_releases
from infra.constructs.rest_api import RestApi
from infra.constructs.triggers import Schedules, feed_from_queues, run_on_deploy
from infra.constructs.websocket_api import WebSocketApi
from infra.data_stack import DataStack


class ServiceStack(cdk.Stack):
    """The manifest on AWS."""

    def __init__(self, scope: Construct, id: str, *, env: Environment, data: DataStack) -> None:
        super().__init__(
            scope,
            id,
            env=cdk.Environment(account=env.account, region=env.region),
            description=f"{env.prefix}: functions, API and alarms",
        )
        self._env, self._data = env, data
        self._layers = [
            self._layer("Dependencies", str(dependencies_layer())),
            self._layer("Shared", str(shared_layer())),
        ]
        access = access_table(data, env=env)
        websocket = WebSocketApi(self, "WebSocketApi", env=env)
        access[Need.SOCKETS] = websocket.access()
        before = self._functions(access, (name for name, f in FUNCTIONS.items() if f.routes))
        aliases = {function.name: function.publish() for function in before}
        api = RestApi(self, "RestApi", env=env, aliases=aliases)
        # Only functions behind the API can be told its address: those it refers to cannot refer to it.
        cdn = Cdn(self, "Cdn", env=env, name=env.cdn_name, host=api.host(env)) if env.cdn else None
        access[Need.API_URL] = Access({"API_URL": cdn.url if cdn else api.url(env)})
        behind = self._functions(access, (name for name, f in FUNCTIONS.items() if not f.routes))
        functions = [*before, *behind]
        for function in before:
            if function.manifest.websocket:
                websocket.serve(aliases[function.name], after=api.log_access)

        feed_from_queues(behind, data.queues)
        schedules = Schedules(self, "Schedules", env=env, functions=behind)
        run_on_deploy(self, functions)
        firewall = Firewall(self, "Firewall", env=env, api=api.api, cdn_key=cdn.key if cdn else "")
        monitoring = Monitoring(
            self,
            "Monitoring",
            env=env,
            data=data,
            functions=functions,
            api=api.api,
            websocket=websocket.api,
            acl=firewall.acl,
            schedule_dead_letters=schedules.dead_letters,
        )
        if env.canary:
            canary_releases(self, env=env, aliases=aliases, monitoring=monitoring)

    def _functions(self, access: Mapping[Need, Access], names: Iterable[str]) -> list[ServiceFunction]:
        return [
            ServiceFunction(
                self,
                name,
                env=self._env,
                layers=self._layers,
                network=self._data.network,
                access=access,
                queues=self._data.queues,
            )
            for name in names
        ]

    def _layer(self, id: str, folder: str) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            id,
            code=lambda_.Code.from_asset(folder),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[ARCHITECTURE],
        )
