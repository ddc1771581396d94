"""AWS Backup: every day, kept 35 days; the database and both buckets."""

from aws_cdk import Duration
from aws_cdk import aws_backup as backup
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.config import BACKUP_DAYS, Environment
from infra.constructs.database import Database
from infra.constructs.logging import removal
from infra.constructs.storage import Storage
from infra.nag import acknowledge

_POLICIES = (
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "service-role/AWSBackupServiceRolePolicyForRestores",
    "AWSBackupServiceRolePolicyForS3Backup",
    "AWSBackupServiceRolePolicyForS3Restore",
)


class Backups(Construct):
    """A vault, one plan, and what it covers; a failed job raises an alarm."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        env: Environment,
        key: kms.IKey,
        alarms: sns.ITopic,
        database: Database,
        storage: Storage,
    ) -> None:
        super().__init__(scope, id)
        vault = backup.BackupVault(
            self,
            "Vault",
            encryption_key=key,
            block_recovery_point_deletion=env.keep_data,
            notification_topic=alarms,
            notification_events=[backup.BackupVaultEvents.BACKUP_JOB_FAILED],
            removal_policy=removal(env),
        )
        plan = backup.BackupPlan(self, "Plan", backup_vault=vault)
        plan.add_rule(
            backup.BackupPlanRule(
                rule_name="daily",
                schedule_expression=events.Schedule.cron(hour="3", minute="0"),
                start_window=Duration.hours(1),
                completion_window=Duration.hours(8),
                delete_after=Duration.days(BACKUP_DAYS),
            )
        )
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(name) for name in _POLICIES],
        )
        acknowledge(role, *(f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{p}]" for p in _POLICIES))
        plan.add_selection(
            "Selection",
            role=role,
            resources=[
                backup.BackupResource.from_rds_database_instance(database.instance),
                backup.BackupResource.from_arn(storage.files.bucket_arn),
                backup.BackupResource.from_arn(storage.archive.bucket_arn),
            ],
        )
