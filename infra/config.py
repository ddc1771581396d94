"""What differs between the environments we deploy; everything else is the same in both."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

WEB_ADAPTER = "arn:{partition}:lambda:{region}:753240598075:layer:LambdaAdapterLayerArm64:30"
"""AWS's layer for what streams; the account is the adapter's own. https://github.com/aws/aws-lambda-web-adapter"""

POSTGRES_VERSION = "18"  # the newest minor of it; only `uuidv7()` needs 18
BACKUP_DAYS = 35


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """A channel that Amazon Q Developer in chat applications (once AWS Chatbot) has been invited to."""

    workspace_id: str
    channel_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CdnName:
    """A name of our own for CloudFront, and a certificate for it: of ACM in us-east-1, wherever the API is."""

    domain_name: str
    certificate_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One environment. Without `account` and `region` it goes to those of the credentials in use."""

    name: str
    account: str | None = None
    region: str | None = None

    cors_origins: tuple[str, ...]
    """The front ends' origins: the only ones a browser may call the API or upload from."""
    email_from: str
    """The sender of every email; its domain becomes an SES identity, whose DKIM records are stack outputs."""
    alarm_email: str = ""
    slack: Slack | None = None
    domain_name: str = ""
    """The API's own name; needs `certificate_arn`, a certificate of ACM in the same region."""
    certificate_arn: str = ""
    cdn: bool = False
    """CloudFront before the API, through which alone it is reached then. It keeps what is public."""
    cdn_name: CdnName | None = None
    same_site_cookies: bool = False
    """True when the front ends share the registrable domain of the API's name, or its CDN's."""
    sentry_dsn: str = ""
    log_level: str = "INFO"

    ai_provider: Literal["bedrock", "openai", "offline"] = "bedrock"
    ai_model: str = "amazon.nova-lite-v1:0"
    """A model of Bedrock in the region, the id of an inference profile, or what the server calls its model."""
    ai_model_arns: tuple[str, ...] = ()
    """Of an inference profile: its own and those of the models it spreads requests over. The role may invoke them."""
    ai_base_url: str = ""
    """Of an OpenAI-compatible server; its key is in the secret `ai_secret_arn`, if it wants one."""
    ai_secret_arn: str = ""

    keep_data: bool
    """Deletion protection, and nothing that holds data is deleted with its stack."""
    multi_az: bool
    nat_gateways: int
    database_class: str
    database_storage_gb: int
    database_storage_max_gb: int
    database_snapshot: str = ""
    """The snapshot that the database begins as. Another one is another database: docs/operations.md, Restore."""
    proxy: bool
    snap_start: bool
    canary: bool
    """Send a tenth of the traffic to new code for five minutes first, and go back on an alarm."""
    api_concurrency: int | None
    """Sandboxes each API function may have at once, None for no limit: without a proxy each holds a database
    connection. It is taken from the account's quota, of which Lambda keeps 100 for the rest."""

    rate_limit: int
    """Requests a second, of everybody together; WAF limits a single address."""
    burst_limit: int
    requests_per_ip: int
    """Requests of one address in five minutes before WAF blocks it."""
    log_retention: str
    """A member of aws_logs.RetentionDays."""

    def __post_init__(self) -> None:
        if bool(self.domain_name) != bool(self.certificate_arn):
            raise ValueError("domain_name and certificate_arn go together.")
        if self.cdn_name and not self.cdn:
            raise ValueError("cdn_name is the name of what `cdn` sets up.")
        if self.ai_provider == "openai" and not self.ai_base_url:
            raise ValueError("ai_provider openai needs ai_base_url.")

    @property
    def prefix(self) -> str:
        """The first part of every name in the account."""
        return f"quintet-{self.name}"

    @property
    def database_name(self) -> str:
        """What RDS calls the instance. CloudFormation replaces none by one of the same name."""
        snapshot = self.database_snapshot
        return f"{self.prefix}-{sha256(snapshot.encode()).hexdigest()[:8]}" if snapshot else self.prefix


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment(
            name="dev",
            cors_origins=("http://localhost:3000", "http://localhost:5173"),
            email_from="Quintet dev <no-reply@dev.quintet.example>",
            keep_data=False,
            multi_az=False,
            nat_gateways=1,
            database_class="t4g.small",
            database_storage_gb=20,
            database_storage_max_gb=50,
            proxy=False,
            snap_start=False,
            canary=False,
            api_concurrency=3,
            rate_limit=50,
            burst_limit=100,
            requests_per_ip=2000,
            log_retention="TWO_WEEKS",
        ),
        Environment(
            name="prod",
            cors_origins=("https://app.quintet.example",),
            email_from="Quintet <no-reply@quintet.example>",
            alarm_email="operations@quintet.example",
            keep_data=True,
            multi_az=True,
            nat_gateways=2,
            database_class="m7g.large",
            database_storage_gb=100,
            database_storage_max_gb=1000,
            proxy=True,
            snap_start=True,
            canary=True,
            api_concurrency=None,
            rate_limit=1000,
            burst_limit=2000,
            requests_per_ip=3000,
            log_retention="ONE_YEAR",
        ),
    )
}
