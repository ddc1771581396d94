"""PostgreSQL, and in front of it a proxy where the environment has one."""

from dataclasses import dataclass

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from constructs import Construct
from cryptography import x509

from infra.bundling import RDS_CERTIFICATES, RDS_CERTIFICATES_ON_LAMBDA
from infra.config import BACKUP_DAYS, POSTGRES_VERSION, Environment
from infra.constructs.logging import log_group, removal
from infra.constructs.network import DATA_SUBNETS, Network
from infra.nag import acknowledge

NAME = "quintet"
OWNER = "quintet_owner"
APPLICATION_USER = "quintet_app"
_PORT = 54320  # not the well-known one; the proxy always listens on that
_PROXY_PORT = 5432
_PARAMETERS = {
    "rds.force_ssl": "1",
    "log_min_duration_statement": "500",  # ms
    "log_parameter_max_length": "0",  # what people write, and hashes of tokens, are parameters
    "log_lock_waits": "1",
    "jit": "0",  # it compiles for longer than these statements run
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a function connects, and what it checks the server's certificate against ("" is certifi's list)."""

    host: str
    port: int
    certificates: str


class Database(Construct):
    """RDS: encrypted, reachable by TLS and IAM tokens only, its owner's password kept and rotated by RDS."""

    def __init__(self, scope: Construct, id: str, *, env: Environment, network: Network, key: kms.IKey) -> None:
        super().__init__(scope, id)
        _require_certificates(env)
        self.instance = self._instance(env, network, key)
        self.proxy = self._proxy(network) if env.proxy else None

        direct = Endpoint(self.instance.db_instance_endpoint_address, _PORT, RDS_CERTIFICATES_ON_LAMBDA)
        self.for_owner = direct
        self.for_application = Endpoint(self.proxy.endpoint, _PROXY_PORT, "") if self.proxy else direct
        if not self.proxy:
            self.instance.connections.allow_from(network.application, ec2.Port.tcp(_PORT), "Functions")
        self.instance.connections.allow_from(network.owner, ec2.Port.tcp(_PORT), "Migrations and partitions")

    @property
    def owner_secret_arn(self) -> str:
        """The owner's user name and password, which RDS rotates every week."""
        assert self.instance.secret is not None
        return self.instance.secret.secret_arn

    def _instance(self, env: Environment, network: Network, key: kms.IKey) -> rds.DatabaseInstance:
        engine = rds.DatabaseInstanceEngine.postgres(
            version=rds.PostgresEngineVersion.of(POSTGRES_VERSION, POSTGRES_VERSION.partition(".")[0])
        )
        exports = ("postgresql", "upgrade", "iam-db-auth-error")
        log_groups = [
            log_group(self, f"Log-{log}", name=f"/aws/rds/instance/{env.database_name}/{log}", env=env)
            for log in exports
        ]
        instance = rds.DatabaseInstance(
            self,
            "Instance",
            instance_identifier=env.database_name,
            engine=engine,
            instance_type=ec2.InstanceType(env.database_class),
            database_name=NAME,
            credentials=rds.Credentials.from_username(OWNER, encryption_key=key),
            manage_master_user_password=True,
            port=_PORT,
            vpc=network.vpc,
            vpc_subnets=DATA_SUBNETS,
            multi_az=env.multi_az,
            storage_type=rds.StorageType.GP3,
            allocated_storage=env.database_storage_gb,
            max_allocated_storage=env.database_storage_max_gb,
            storage_encryption_key=key,
            iam_authentication=True,
            ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1,
            parameter_group=rds.ParameterGroup(self, "Parameters", engine=engine, parameters=_PARAMETERS),
            cloudwatch_logs_exports=list(exports),
            enable_performance_insights=True,
            performance_insight_encryption_key=key,
            performance_insight_retention=rds.PerformanceInsightRetention.DEFAULT,
            database_insights_mode=rds.DatabaseInsightsMode.STANDARD,
            auto_minor_version_upgrade=True,
            backup_retention=Duration.days(BACKUP_DAYS),
            copy_tags_to_snapshot=True,
            delete_automated_backups=not env.keep_data,
            deletion_protection=env.keep_data,
            removal_policy=removal(env),
        )
        instance.node.add_dependency(*log_groups)  # or RDS makes them itself, and keeps lines for ever
        if env.database_snapshot:
            _begin_as(env.database_snapshot, instance)
        if not env.multi_az:
            acknowledge(instance, "AwsSolutions-RDS3")
        if not env.keep_data:
            acknowledge(instance, "AwsSolutions-RDS10")
        return instance

    def _proxy(self, network: Network) -> rds.DatabaseProxy:
        """IAM from end to end: the function signs in to the proxy, and the proxy to the database, by token."""
        group = ec2.SecurityGroup(self, "ProxyGroup", vpc=network.vpc, description="The database proxy")
        group.add_ingress_rule(network.application, ec2.Port.tcp(_PROXY_PORT), "Functions")
        role = iam.Role(self, "ProxyRole", assumed_by=iam.ServicePrincipal("rds.amazonaws.com"))
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["rds-db:connect"], resources=[self._user_arn(self.instance.instance_resource_id)]
            )
        )
        return rds.DatabaseProxy(
            self,
            "Proxy",
            proxy_target=rds.ProxyTarget.from_instance(self.instance),
            vpc=network.vpc,
            vpc_subnets=DATA_SUBNETS,
            security_groups=[group],
            role=role,
            default_auth_scheme=rds.DefaultAuthScheme.IAM_AUTH,
            require_tls=True,
            max_connections_percent=80,  # the rest is for migrations and people
            idle_client_timeout=Duration.minutes(30),
            borrow_timeout=Duration.seconds(10),
        )

    @property
    def connect_arn(self) -> str:
        """What `rds-db:connect` names for functions: the application's user, at the proxy where there is one."""
        if not self.proxy:
            return self._user_arn(self.instance.instance_resource_id)
        proxy = Stack.of(self).split_arn(self.proxy.db_proxy_arn, ArnFormat.COLON_RESOURCE_NAME)
        return self._user_arn(proxy.resource_name)

    def _user_arn(self, resource: str | None) -> str:
        assert resource
        return Stack.of(self).format_arn(
            service="rds-db",
            resource="dbuser",
            resource_name=f"{resource}/{APPLICATION_USER}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )


def _begin_as(snapshot: str, instance: rds.DatabaseInstance) -> None:
    """What a snapshot holds already may not be said again."""
    resource = instance.node.default_child
    assert isinstance(resource, rds.CfnDBInstance)
    resource.db_snapshot_identifier = snapshot
    for inherited in ("DBName", "KmsKeyId", "MasterUsername", "StorageEncrypted"):
        resource.add_property_deletion_override(inherited)


def _require_certificates(env: Environment) -> None:
    """Refuse a region whose root certificate our copy of RDS's list is too old for: nothing could connect there."""
    names = {
        attribute.value
        for certificate in x509.load_pem_x509_certificates(RDS_CERTIFICATES.read_bytes())
        for attribute in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    }
    if env.region and f"Amazon RDS {env.region} Root CA RSA2048 G1" not in names:
        raise ValueError(
            f"{RDS_CERTIFICATES.name} has no certificate for {env.region}. Get the newest list: "
            f"curl -o infra/certificates/{RDS_CERTIFICATES.name} "
            "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
        )
