"""CloudFront before the API: it keeps what says that anybody may (`Cache-Control: public`), and passes on all else.

Behind it the API sees CloudFront's addresses, not people's, and its own name, not the one people use. So CloudFront
says whose a request is and which name it was sent to, in headers that the firewall and the functions believe; and
since anybody else could say so too, the firewall lets nobody in who does not have CloudFront's key. The lists of
addresses of ill repute look at the connection alone, which is CloudFront's: they find nothing here, and the API's
access log has its addresses too. Events have people's.
"""

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.config import CdnName, Environment
from infra.nag import acknowledge

ADDRESS_HEADER = "x-viewer-address"
HOST_HEADER = "x-viewer-host"
KEY_HEADER = "x-cdn-key"

_ERRORS = (400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504)
"""Those it would keep for ten seconds, whatever they say."""

_SAY_WHOSE = f"""\
function handler(event) {{
    event.request.headers['{ADDRESS_HEADER}'] = {{value: event.viewer.ip}};
    event.request.headers['{HOST_HEADER}'] = {{value: event.request.headers.host.value}};
    return event.request;
}}
"""


class Cdn(Construct):
    """A distribution whose addresses are those of the API, stage and all; `key` is what the firewall asks for."""

    def __init__(self, scope: Construct, id: str, *, env: Environment, name: CdnName | None, host: str) -> None:
        super().__init__(scope, id)
        secret = secretsmanager.Secret(
            self,
            "Key",
            description="The key by which Quintet's firewall knows its CloudFront distribution",
            generate_secret_string=secretsmanager.SecretStringGenerator(password_length=64, exclude_punctuation=True),
        )
        acknowledge(secret, "AwsSolutions-SMG4")
        # CloudFormation reads it when it deploys: the template has its name.
        self.key = secret.secret_value.unsafe_unwrap()
        whose = cloudfront.Function(
            self,
            "SayWhose",
            function_name=f"{env.prefix}-say-whose",
            code=cloudfront.FunctionCode.from_inline(_SAY_WHOSE),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
        )
        self.distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=env.prefix,
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.HttpOrigin(
                    host,
                    protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
                    custom_headers={KEY_HEADER: self.key},
                    read_timeout=Duration.seconds(30),  # more than the gateway's 29
                ),
                # A redirected POST has sent its token in the clear already.
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                cached_methods=cloudfront.CachedMethods.CACHE_GET_HEAD,
                cache_policy=self._cache_policy(env),
                # API Gateway is found by its own name.
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
                # It would make ETags weak, and a change that is meant for a weak one is refused (RFC 9110, 13.1.1).
                compress=False,
                function_associations=[
                    cloudfront.FunctionAssociation(
                        function=whose, event_type=cloudfront.FunctionEventType.VIEWER_REQUEST
                    )
                ],
            ),
            error_responses=[
                cloudfront.ErrorResponse(http_status=status, ttl=Duration.seconds(0)) for status in _ERRORS
            ],
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021 if name else None,
            certificate=acm.Certificate.from_certificate_arn(self, "Certificate", name.certificate_arn)
            if name
            else None,
            domain_names=[name.domain_name] if name else None,
        )
        findings = ["AwsSolutions-CFR1", "AwsSolutions-CFR2", "AwsSolutions-CFR3"]
        acknowledge(self.distribution, *findings, *([] if name else ["AwsSolutions-CFR4"]))
        path = "" if env.domain_name else f"/{env.name}"
        self.url = f"https://{name.domain_name if name else self.distribution.distribution_domain_name}{path}"
        CfnOutput(self, "Url", value=self.url)
        if name:
            CfnOutput(self, "Alias", value=f"{name.domain_name} ALIAS {self.distribution.distribution_domain_name}")

    def _cache_policy(self, env: Environment) -> cloudfront.CachePolicy:
        """For as long as an answer says, and not at all when it says nothing."""
        return cloudfront.CachePolicy(
            self,
            "Public",
            cache_policy_name=f"{env.prefix}-public",
            comment="What says Cache-Control: public, by who asks, from where, and for what",
            min_ttl=Duration.seconds(0),
            default_ttl=Duration.seconds(0),
            max_ttl=Duration.days(1),
            header_behavior=cloudfront.CacheHeaderBehavior.allow_list("Authorization", "Origin"),
            query_string_behavior=cloudfront.CacheQueryStringBehavior.all(),
            cookie_behavior=cloudfront.CacheCookieBehavior.none(),
        )
