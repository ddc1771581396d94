"""SES: who we send as, and how bounces and complaints come back."""

from email.utils import parseaddr

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Environment


class Email(Construct):
    """The sender's domain, a configuration set, and SES -> SNS -> the `email_feedback` queue.

    The queue gets SNS's envelope (raw delivery is off): its `Message` is the SES event as a string.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        env: Environment,
        key: kms.IKey,
        feedback: sqs.IQueue,
        dead_letters: sqs.IQueue,
    ) -> None:
        super().__init__(scope, id)
        self.configuration_set = ses.ConfigurationSet(
            self,
            "ConfigurationSet",
            configuration_set_name=env.prefix,
            tls_policy=ses.ConfigurationSetTlsPolicy.REQUIRE,
            reputation_metrics=True,
            suppression_reasons=ses.SuppressionReasons.BOUNCES_AND_COMPLAINTS,
        )
        domain = parseaddr(env.email_from)[1].partition("@")[2]
        self.identity = ses.EmailIdentity(
            self,
            "Identity",
            identity=ses.Identity.domain(domain),
            configuration_set=self.configuration_set,
            feedback_forwarding=False,  # it comes by the topic
        )
        topic = sns.Topic(self, "Feedback", master_key=key, enforce_ssl=True)
        topic.add_subscription(
            subscriptions.SqsSubscription(feedback, raw_message_delivery=False, dead_letter_queue=dead_letters)
        )
        self.configuration_set.add_event_destination(
            "FeedbackDestination",
            destination=ses.EventDestination.sns_topic(topic),
            events=[ses.EmailSendingEvent.BOUNCE, ses.EmailSendingEvent.COMPLAINT],
        )
        self.configuration_set_arn = Stack.of(self).format_arn(
            service="ses",
            resource="configuration-set",
            resource_name=self.configuration_set.configuration_set_name,
        )
        for number, record in enumerate(self.identity.dkim_records, 1):
            CfnOutput(self, f"Dkim{number}", value=f"{record.name} CNAME {record.value}")
