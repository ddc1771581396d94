"""cdk-nag: the rules every resource is held to, and our reason wherever one does not apply."""

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks
from constructs import IConstruct

REASONS: dict[str, str] = {
    "AwsSolutions-APIG2": "Requests are validated by the application, which names the field and the next step; "
    "the gateway's validator could only say 'Invalid request body'.",
    "AwsSolutions-APIG4": "The application authorises: who connects brings a ticket that works once, and each frame is "
    "taken for the session that got it.",
    "AwsSolutions-CFR1": "Quintet is for everybody, wherever they are.",
    "AwsSolutions-CFR2": "The web ACL stands before the API's stage, which all that is not public comes through, and "
    "is told each viewer's address. What CloudFront answers itself costs the API nothing.",
    "AwsSolutions-CFR3": "The API logs what is passed on to it. What CloudFront answers itself is public, the same for "
    "everybody, and counted by its metrics.",
    "AwsSolutions-CFR4": "Only a name of our own (`cdn_name`) can refuse old TLS: CloudFront's certificate comes with "
    "its own policy.",
    "AwsSolutions-IAM4": "The service's own role for this job, kept up to date by AWS, and assumed by it alone.",
    "AwsSolutions-IAM5": "A wildcard that cannot be narrower: the action has no resource-level permissions, or the "
    "objects of one bucket.",
    "AwsSolutions-L1": "Python 3.13 is what the layers' bytecode is compiled for and what the tests run on.",
    "AwsSolutions-RDS3": "dev is small on purpose: one availability zone.",
    "AwsSolutions-RDS10": "dev can be thrown away.",
    "AwsSolutions-SMG4": "The `maintenance` function rotates the signing keys, with an overlap. The key for push "
    "stays: browsers subscribe to it, and would all have to do so again. That between CDN and firewall is replaced in "
    "both at once, by a deployment.",
    "AwsSolutions-SQS3": "It is a dead-letter queue itself.",
    "Serverless-LambdaDLQ": "Nothing invokes it asynchronously without a queue for what fails: its queue has dead "
    "letters, its schedule has a destination, and the API's callers and the deployment wait for the answer.",
    "Serverless-LambdaEventSourceMappingDestination": "SQS sources have none: the queue's own dead letters do that.",
    "Serverless-LambdaLatestVersion": "Python 3.13, for the same reason as AwsSolutions-L1.",
    "Serverless-SNSRedrivePolicy": "A mail to a person: what cannot be delivered now is on the dashboard.",
    "Serverless-SQSRedrivePolicy": "It is a dead-letter queue itself, as for AwsSolutions-SQS3.",
    "Annotation::@aws-cdk/aws-lambda:snapStartRequirePublish": "A version is published: the alias points to it.",
}
"""Rule -> why a finding of it is acknowledged. One place, so that an auditor reads them in one go."""


def acknowledge(scope: IConstruct, *findings: str) -> None:
    """Accept `findings` (a rule, or `rule[finding]`) on `scope` and what is in it, for the reason in the table."""
    cdk.Validations.of(scope).acknowledge(
        *(cdk.Acknowledgment(id=finding, reason=REASONS[finding.partition("[")[0]]) for finding in findings)
    )


def check(app: cdk.App) -> None:
    """Make the synthesis of `app` fail on any finding that is not acknowledged."""
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app, verbose=True), ServerlessChecks(app, verbose=True))
