"""What holds data and outlives a release: network, database, buckets, queues, secrets and keys."""

import aws_cdk as cdk
from aws_cdk import aws_chatbot as chatbot
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.config import Environment
from infra.constructs.backups import Backups
from infra.constructs.database import Database
from infra.constructs.email import Email
from infra.constructs.logging import removal
from infra.constructs.network import Network
from infra.constructs.queues import manifest_queues
from infra.constructs.storage import Storage
from infra.nag import acknowledge

_PUBLISHERS = ("cloudwatch", "ses")
"""Services that publish to our encrypted topics and so need their key; the topics' policies say for whom.

AWS Backup is one more, which CDK lets in.
"""


class DataStack(cdk.Stack):
    """Everything the service stack refers to."""

    def __init__(self, scope: Construct, id: str, *, env: Environment) -> None:
        super().__init__(
            scope,
            id,
            env=cdk.Environment(account=env.account, region=env.region),
            description=f"{env.prefix}: network, database, buckets, queues, secrets and keys",
            termination_protection=env.keep_data,
        )
        self.key = self._key("Key", env, alias=env.prefix, description=f"The data of {env.prefix}")
        self.sealing_key = self._key(
            "SealingKey",
            env,
            alias=f"{env.prefix}-sealing",
            description=f"What integrations of {env.prefix} hold: tokens and keys",
        )
        self._topic_key = self._topics_key(env)
        self.alarm_topic = self._alarm_topic(env)
        self.network = Network(self, "Network", env=env)
        self.database = Database(self, "Database", env=env, network=self.network, key=self.key)
        self.queues = manifest_queues(Construct(self, "Queues"), env=env)
        self.storage = Storage(self, "Storage", env=env, key=self.key, uploads=self.queues["uploads"].queue)
        feedback = self.queues["email_feedback"]
        self.email = Email(
            self, "Email", env=env, key=self._topic_key, feedback=feedback.queue, dead_letters=feedback.dead_letters
        )
        self.token_secret = self._secret(
            "TokenSecret", env, description="The secret that Quintet's signing and refresh keys are derived from"
        )
        self.push_secret = self._secret(
            "PushSecret", env, description="The secret that the key is derived from by which push services know Quintet"
        )
        self.oauth_clients = self._secret(
            "OAuthClients", env, description="Quintet's client ids and secrets at OAuth providers", begins_as="{}"
        )
        cdk.CfnOutput(self, "OAuthClientsSecret", value=self.oauth_clients.secret_arn)
        Backups(
            self,
            "Backups",
            env=env,
            key=self.key,
            alarms=self.alarm_topic,
            database=self.database,
            storage=self.storage,
        )

    def _secret(self, id: str, env: Environment, *, description: str, begins_as: str = "") -> secretsmanager.Secret:
        """A secret that is made up; or one that operators write, which is `begins_as` until they do."""
        random = secretsmanager.SecretStringGenerator(password_length=64, exclude_punctuation=True)
        secret = secretsmanager.Secret(
            self,
            id,
            description=description,
            encryption_key=self.key,
            generate_secret_string=None if begins_as else random,
            secret_string_value=cdk.SecretValue.unsafe_plain_text(begins_as) if begins_as else None,
            removal_policy=removal(env),
        )
        acknowledge(secret, "AwsSolutions-SMG4")
        return secret

    def _key(self, id: str, env: Environment, *, alias: str, description: str) -> kms.Key:
        return kms.Key(
            self,
            id,
            alias=f"alias/{alias}",
            description=description,
            enable_key_rotation=True,
            removal_policy=removal(env),
        )

    def _topics_key(self, env: Environment) -> kms.Key:
        """Of its own, so that no service can use the key of the data in its own name."""
        key = self._key("TopicsKey", env, alias=f"{env.prefix}-topics", description=f"The topics of {env.prefix}")
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"{service}.amazonaws.com") for service in _PUBLISHERS],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],  # in a key's policy: this key
            )
        )
        return key

    def _alarm_topic(self, env: Environment) -> sns.Topic:
        topic = sns.Topic(
            self, "Alarms", display_name=f"{env.prefix} alarms", master_key=self._topic_key, enforce_ssl=True
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        if env.alarm_email:
            topic.add_subscription(subscriptions.EmailSubscription(env.alarm_email))
            acknowledge(topic, "Serverless-SNSRedrivePolicy")
        if env.slack:
            chatbot.SlackChannelConfiguration(
                self,
                "Slack",
                slack_channel_configuration_name=env.prefix,
                slack_workspace_id=env.slack.workspace_id,
                slack_channel_id=env.slack.channel_id,
                notification_topics=[topic],
                guardrail_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("CloudWatchReadOnlyAccess")],
            )
        return topic
