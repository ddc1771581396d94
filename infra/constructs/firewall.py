"""WAF before the API: AWS's managed rules, and a limit per address."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from functions.manifest import FUNCTIONS
from infra.config import Environment
from infra.constructs.cdn import ADDRESS_HEADER, KEY_HEADER
from infra.constructs.logging import log_group

FREE_BODIES = tuple(route for function in FUNCTIONS.values() if function.free_bodies for route in function.routes)
"""Routes whose bodies may hold anything."""

_BODY_RULES = tuple(
    f"{rule}_BODY" for rule in ("SizeRestrictions", "CrossSiteScripting", "GenericLFI", "GenericRFI", "EC2MetaDataSSRF")
)
"""Rules that a text or a file may break in all innocence: they only count, and label."""

_BODY_LABELS = tuple(f"awswaf:managed:aws:core-rule-set:{rule.removesuffix('BODY')}Body" for rule in _BODY_RULES)
_MANAGED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("AWSManagedRulesAmazonIpReputationList", ()),
    ("AWSManagedRulesKnownBadInputsRuleSet", ()),
    ("AWSManagedRulesCommonRuleSet", _BODY_RULES),
)
"""Group -> rules of it that only count. No SQL group: statements carry parameters, and people write about SQL."""


_CREDENTIALS = ("authorization", "cookie")


def free_body_pattern(stage: str) -> str:
    """The paths under FREE_BODIES, under every prefix, with the stage or (at our own domain name) without."""
    return rf"^(/{stage})?(/api(/v1)?)?/({'|'.join(FREE_BODIES)})(/|$)"


class Firewall(Construct):
    """A web ACL on the API's stage. What it blocks or counts is logged, without what could let its reader in."""

    def __init__(
        self, scope: Construct, id: str, *, env: Environment, api: apigateway.RestApiBase, cdn_key: str = ""
    ) -> None:
        """`cdn_key`: what requests come with that came through the CDN; others are blocked then."""
        super().__init__(scope, id)
        self._credentials = (*_CREDENTIALS, KEY_HEADER) if cdn_key else _CREDENTIALS
        rules = [
            *([_only_through_cdn(cdn_key)] if cdn_key else []),
            _per_address(env, by_header=bool(cdn_key)),
            *(_managed(group, counted) for group, counted in _MANAGED),
            _bodies(env),
        ]
        self.acl = waf.CfnWebACL(
            self,
            "Acl",
            name=env.prefix,
            scope="REGIONAL",
            default_action={"allow": {}},
            visibility_config=_visibility(env.prefix),
            rules=[{**rule, "priority": priority} for priority, rule in enumerate(rules)],
            # Samples too, which the logging's own redaction does not reach.
            data_protection_config={
                "dataProtections": [
                    {"field": field, "action": "SUBSTITUTION"} for field in _protected(self._credentials)
                ]
            },
        )
        association = waf.CfnWebACLAssociation(
            self, "Association", resource_arn=api.deployment_stage.stage_arn, web_acl_arn=self.acl.attr_arn
        )
        association.node.add_dependency(api.deployment_stage)
        self._log(env)

    def _log(self, env: Environment) -> None:
        # WAF writes to groups of this prefix only.
        group = log_group(self, "Log", name=f"aws-waf-logs-{env.prefix}", env=env)
        arn = Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"aws-waf-logs-{env.prefix}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        logging = waf.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.acl.attr_arn,
            log_destination_configs=[arn],
            redacted_fields=[{"queryString": {}}, *({"singleHeader": {"Name": name}} for name in self._credentials)],
            logging_filter={
                "DefaultBehavior": "DROP",
                "Filters": [
                    {
                        "Behavior": "KEEP",
                        "Requirement": "MEETS_ANY",
                        "Conditions": [{"ActionCondition": {"Action": action}} for action in ("BLOCK", "COUNT")],
                    }
                ],
            },
        )
        logging.node.add_dependency(group)


def _protected(credentials: Sequence[str]) -> list[dict[str, Any]]:
    # A mailed link has its token in the query.
    return [{"fieldType": "QUERY_STRING"}, {"fieldType": "SINGLE_HEADER", "fieldKeys": list(credentials)}]


def _only_through_cdn(key: str) -> dict[str, Any]:
    has_key = {
        "byteMatchStatement": {
            "fieldToMatch": {"singleHeader": {"Name": KEY_HEADER}},
            "positionalConstraint": "EXACTLY",
            "searchString": key,
            "textTransformations": [{"priority": 0, "type": "NONE"}],
        }
    }
    return {
        "name": "only-through-cdn",
        "action": {"block": {}},
        "statement": {"notStatement": {"statement": has_key}},
        "visibilityConfig": _visibility("only-through-cdn"),
    }


def _per_address(env: Environment, *, by_header: bool) -> dict[str, Any]:
    address = {
        "aggregateKeyType": "FORWARDED_IP",
        "forwardedIpConfig": {"headerName": ADDRESS_HEADER, "fallbackBehavior": "MATCH"},
    }
    return {
        "name": "per-address",
        "action": {"block": {}},
        "statement": {
            "rateBasedStatement": {
                "limit": env.requests_per_ip,
                **(address if by_header else {"aggregateKeyType": "IP"}),
                "evaluationWindowSec": 300,
            }
        },
        "visibilityConfig": _visibility("per-address"),
    }


def _managed(group: str, counted: tuple[str, ...]) -> dict[str, Any]:
    overrides = [{"name": rule, "actionToUse": {"count": {}}} for rule in counted]
    return {
        "name": group,
        "overrideAction": {"none": {}},
        "statement": {
            "managedRuleGroupStatement": {
                "vendorName": "AWS",
                "name": group,
                **({"ruleActionOverrides": overrides} if overrides else {}),
            }
        },
        "visibilityConfig": _visibility(group),
    }


def _bodies(env: Environment) -> dict[str, Any]:
    """Block what the counted rules labelled, but for bodies that are free."""
    labelled = [{"labelMatchStatement": {"scope": "LABEL", "key": label}} for label in _BODY_LABELS]
    free = {
        "regexMatchStatement": {
            "regexString": free_body_pattern(env.name),
            "fieldToMatch": {"uriPath": {}},
            "textTransformations": [{"priority": 0, "type": "NORMALIZE_PATH"}],
        }
    }
    return {
        "name": "bodies",
        "action": {"block": {}},
        "statement": {
            "andStatement": {
                "statements": [
                    {"orStatement": {"statements": labelled}},
                    {"notStatement": {"statement": free}},
                ]
            }
        },
        "visibilityConfig": _visibility("bodies"),
    }


def _visibility(metric: str) -> dict[str, Any]:
    return {"cloudWatchMetricsEnabled": True, "sampledRequestsEnabled": True, "metricName": metric}
