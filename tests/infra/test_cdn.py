"""CloudFront before the API: what it keeps, what it passes on, and that nobody gets past it."""

import json
import re
import subprocess
from dataclasses import replace
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigateway as apigateway
from aws_cdk.assertions import Template

from infra.app import new_app
from infra.config import ENVIRONMENTS, CdnName, Environment
from infra.constructs.cdn import ADDRESS_HEADER, HOST_HEADER, KEY_HEADER, Cdn
from infra.constructs.firewall import Firewall
from infra.constructs.function import _common_environment
from quintet.config import Settings
from tests.infra.conftest import Synthesised

NAME = CdnName(domain_name="api.quintet.example", certificate_arn="arn:aws:acm:us-east-1:111111111111:certificate/0190")


def synthesised(env: Environment) -> dict[str, dict[str, Any]]:
    """Type -> properties of what a CDN with its firewall is made of, before an API of nothing."""
    stack = cdk.Stack(new_app(), "cdn")
    api = apigateway.SpecRestApi(stack, "Api", api_definition=apigateway.ApiDefinition.from_inline({"paths": {}}))
    cdn = Cdn(stack, "Cdn", env=env, name=env.cdn_name, host="origin.example")
    Firewall(stack, "Firewall", env=env, api=api, cdn_key=cdn.key)
    resources = Template.from_stack(stack).to_json()["Resources"].values()
    return {resource["Type"]: resource["Properties"] for resource in resources}


@pytest.fixture(scope="module")
def plain() -> dict[str, dict[str, Any]]:
    """Without a name of its own."""
    return synthesised(replace(ENVIRONMENTS["dev"], cdn=True))


def test_it_keeps_only_what_says_so_by_who_asks_for_what_from_where(plain: dict[str, dict[str, Any]]) -> None:
    policy = plain["AWS::CloudFront::CachePolicy"]["CachePolicyConfig"]
    assert (policy["MinTTL"], policy["DefaultTTL"]) == (0, 0)
    key = policy["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["HeadersConfig"] == {"HeaderBehavior": "whitelist", "Headers": ["Authorization", "Origin"]}
    assert key["QueryStringsConfig"] == {"QueryStringBehavior": "all"}
    assert key["CookiesConfig"] == {"CookieBehavior": "none"}
    config = plain["AWS::CloudFront::Distribution"]["DistributionConfig"]
    kept = {error["ErrorCode"]: error["ErrorCachingMinTTL"] for error in config["CustomErrorResponses"]}
    assert {404, 403, 500, 503} <= kept.keys()
    assert set(kept.values()) == {0}


def test_it_passes_on_all_else_by_tls_alone_and_changes_nothing(plain: dict[str, dict[str, Any]]) -> None:
    config = plain["AWS::CloudFront::Distribution"]["DistributionConfig"]
    behaviour = config["DefaultCacheBehavior"]
    assert set(behaviour["AllowedMethods"]) == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}
    assert behaviour["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"  # all of the viewer's but Host
    assert behaviour["ViewerProtocolPolicy"] == "https-only"
    assert behaviour["Compress"] is False
    [origin] = config["Origins"]
    assert origin["DomainName"] == "origin.example"
    assert "OriginPath" not in origin  # links that the API makes are right through it
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert origin["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]


def test_the_firewall_lets_nobody_past_it_and_counts_the_addresses_it_tells(plain: dict[str, dict[str, Any]]) -> None:
    [origin] = plain["AWS::CloudFront::Distribution"]["DistributionConfig"]["Origins"]
    [header] = origin["OriginCustomHeaders"]
    assert header["HeaderName"] == KEY_HEADER
    assert "resolve:secretsmanager" in str(header["HeaderValue"])
    first, per_address, *_ = plain["AWS::WAFv2::WebACL"]["Rules"]
    assert first["Action"] == {"Block": {}}
    match = first["Statement"]["NotStatement"]["Statement"]["ByteMatchStatement"]
    assert match["FieldToMatch"] == {"SingleHeader": {"Name": KEY_HEADER}}
    assert (match["SearchString"], match["PositionalConstraint"]) == (header["HeaderValue"], "EXACTLY")
    rate = per_address["Statement"]["RateBasedStatement"]
    assert rate["AggregateKeyType"] == "FORWARDED_IP"
    assert rate["ForwardedIPConfig"] == {"HeaderName": ADDRESS_HEADER, "FallbackBehavior": "MATCH"}
    # AND the key is in no log.
    redacted = plain["AWS::WAFv2::LoggingConfiguration"]["RedactedFields"]
    assert {"SingleHeader": {"Name": KEY_HEADER}} in redacted
    assert KEY_HEADER in str(plain["AWS::WAFv2::WebACL"]["DataProtectionConfig"])


def test_whose_a_request_is_cloudfront_says_whatever_the_request_says(plain: dict[str, dict[str, Any]]) -> None:
    code = plain["AWS::CloudFront::Function"]["FunctionCode"]
    event = {
        "viewer": {"ip": "2001:db8::7"},
        "request": {
            "method": "GET",
            "headers": {
                "host": {"value": "d111.cloudfront.net"},
                ADDRESS_HEADER: {"value": "10.0.0.1"},
                HOST_HEADER: {"value": "evil.example"},
            },
        },
    }
    script = f"{code}\nconsole.log(JSON.stringify(handler({json.dumps(event)})))"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True, timeout=60)
    headers = json.loads(done.stdout)["headers"]
    assert headers == {
        "host": {"value": "d111.cloudfront.net"},
        ADDRESS_HEADER: {"value": "2001:db8::7"},
        HOST_HEADER: {"value": "d111.cloudfront.net"},
    }
    [association] = plain["AWS::CloudFront::Distribution"]["DistributionConfig"]["DefaultCacheBehavior"][
        "FunctionAssociations"
    ]
    assert association["EventType"] == "viewer-request"


def test_with_a_name_of_its_own_it_refuses_old_tls() -> None:
    config = synthesised(replace(ENVIRONMENTS["prod"], cdn=True, cdn_name=NAME))["AWS::CloudFront::Distribution"]
    assert config["DistributionConfig"]["Aliases"] == [NAME.domain_name]
    certificate = config["DistributionConfig"]["ViewerCertificate"]
    assert (certificate["AcmCertificateArn"], certificate["MinimumProtocolVersion"]) == (
        NAME.certificate_arn,
        "TLSv1.2_2021",
    )
    with pytest.raises(ValueError, match="cdn"):
        replace(ENVIRONMENTS["prod"], cdn_name=NAME)


def test_without_it_there_is_none_and_addresses_are_those_of_connections(env: Synthesised) -> None:
    env.service.resource_count_is("AWS::CloudFront::Distribution", 0)
    told = {"CLIENT_ADDRESS_HEADER", "PUBLIC_HOST_HEADER"}
    assert not any(told & f["Environment"]["Variables"].keys() for f in env.functions().values())
    rules = [rule["Name"] for rule in env.only("service", "AWS::WAFv2::WebACL")["Rules"]]
    assert rules[0] == "per-address"


def test_the_functions_settings_have_the_headers() -> None:
    read = Settings.read(_common_environment(replace(ENVIRONMENTS["prod"], cdn=True)))
    assert (read.client_address_header, read.public_host_header) == (ADDRESS_HEADER, HOST_HEADER)
    assert re.fullmatch("[a-z-]+", ADDRESS_HEADER + HOST_HEADER)
