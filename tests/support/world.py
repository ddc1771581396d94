"""One of everything, for requests that need something to be about. Each part is made when it is first asked for."""

import secrets
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

from functions.auth.refresh import refresh_token
from quintet import aws
from quintet.config import settings
from quintet.db.engine import owner_engine
from quintet.db.models.sessions import TokenPurpose
from quintet.db.session import writing
from quintet.identity.keys import token_keys
from quintet.identity.one_time_tokens import LIFETIMES, mint
from tests.support.api import Api
from tests.support.assisting import ask
from tests.support.browsers import subscription
from tests.support.people import person
from tests.support.provider import Account, Browser, asked_of, provider

NEW_PASSWORD = "another good phrase 42 indeed"
CONTENT = b"hello"
TABLE = b"Name,E-mail\nAnn,ann@example.com\n"


def form(**fields: str) -> dict[str, Any]:
    """A multipart/form-data request with a small text file and these fields."""
    boundary = secrets.token_hex(8)
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
        f"Content-Type: text/plain\r\n\r\n{CONTENT.decode()}\r\n--{boundary}--\r\n"
    )
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return {"body": "".join(parts).encode(), "headers": headers}


class World:
    """A project of `owner` with an editor and a member who only reads it, and what lies in it.

    Attributes whose names end in `_id` fill the path parameters of the same name.
    """

    @cached_property
    def owner(self) -> Api:
        """Owns the project and its file, belongs to the division; is the account and the session asked about."""
        return person()

    @cached_property
    def editor(self) -> Api:
        """May change the project."""
        return person()

    @cached_property
    def member(self) -> Api:
        """May read the project."""
        return person("viewer")

    @cached_property
    def newcomer(self) -> Api:
        """Belongs to nothing yet, and may create nothing."""
        return person("viewer")

    @cached_property
    def project_id(self) -> UUID:
        """The project, with its three members."""
        return self._one(
            "WITH p AS (INSERT INTO projects (title, owner_id) VALUES ('A project', %(owner)s) RETURNING id), "
            "m AS (INSERT INTO project_members SELECT p.id, v.id, v.role FROM p, (VALUES "
            "(%(owner)s::uuid, 'owner'), (%(editor)s::uuid, 'editor'), (%(member)s::uuid, 'viewer')) v(id, role)) "
            "SELECT id FROM p",
            owner=self.owner.id,
            editor=self.editor.id,
            member=self.member.id,
        )

    @cached_property
    def task_id(self) -> UUID:
        """A task of the project that is the member's."""
        return self._one(
            "INSERT INTO tasks (project_id, title, position, assignee_id, created_by)"
            " VALUES (%(p)s, 'A task', 'V', %(member)s, %(owner)s) RETURNING id",
            p=self.project_id,
            member=self.member.id,
            owner=self.owner.id,
        )

    @cached_property
    def folder_id(self) -> UUID:
        """An empty folder of the project."""
        return self._one("INSERT INTO folders (project_id, name) VALUES (%(p)s, 'F') RETURNING id", p=self.project_id)

    @cached_property
    def file_id(self) -> UUID:
        """A file of the project that is ready."""
        made = self.owner.post("/files", **form(project_id=str(self.project_id)))
        assert made.status == 201, made
        return self._one("UPDATE files SET status = 'ready' WHERE id = %(id)s RETURNING id", id=made.json()["id"])

    @cached_property
    def upload_id(self) -> UUID:
        """A file of the project whose multipart upload is under way."""
        new = {"file_name": "a.txt", "size": len(CONTENT), "project_id": str(self.project_id)}
        made = self.owner.post("/files/multipart", new)
        assert made.status == 201, made
        return UUID(made.json()["file_id"])

    def uploaded_part(self) -> dict[str, Any]:
        """The only part of that upload, sent to S3."""
        with owner_engine().begin() as connection:
            row = connection.exec_driver_sql("SELECT * FROM files WHERE id = %(id)s", {"id": self.upload_id}).one()
        sent = aws.s3().upload_part(Bucket=row.bucket, Key=row.key, UploadId=row.upload_id, PartNumber=1, Body=CONTENT)
        return {"part_number": 1, "etag": sent["ETag"]}

    @cached_property
    def campaign_id(self) -> UUID:
        """A campaign of the owner's, to which `agent_id` is assigned."""
        return self._one(
            "WITH c AS (INSERT INTO campaigns (name, created_by) VALUES ('A campaign', %(owner)s) RETURNING id) "
            "INSERT INTO campaign_assignments (campaign_id, agent_id, assigned_by) "
            "SELECT id, %(agent)s, %(owner)s FROM c RETURNING campaign_id",
            owner=self.owner.id,
            agent=self.agent_id,
        )

    @cached_property
    def agent_id(self) -> UUID:
        """The member as an agent."""
        return self._agent(self.member.id)

    @cached_property
    def unused_agent_id(self) -> UUID:
        """An agent who is the account of nobody and works nowhere."""
        return self._agent(None)

    @cached_property
    def contact_id(self) -> UUID:
        """A contact of the campaign, which is the member's."""
        return self._one(
            "INSERT INTO contacts (campaign_id, agent_id, email) VALUES (%(c)s, %(a)s, %(email)s) RETURNING id",
            c=self.campaign_id,
            a=self.agent_id,
            email=f"{secrets.token_hex(8)}@example.com",
        )

    @cached_property
    def table_id(self) -> UUID:
        """A file of contacts of the owner's that is ready."""
        key = f"uploads/{secrets.token_hex(8)}"
        sent = aws.s3().put_object(Bucket=settings().files_bucket, Key=key, Body=TABLE)
        return self._one(
            "INSERT INTO files (owner_id, file_name, bucket, key, content_type, detected_type, size, purpose, status,"
            " version_id) VALUES (%(owner)s, 'c.csv', %(bucket)s, %(key)s, 'text/csv', 'text/csv', %(size)s,"
            " 'campaign_data', 'ready', %(version)s) RETURNING id",
            owner=self.owner.id,
            bucket=settings().files_bucket,
            key=key,
            size=len(TABLE),
            version=sent["VersionId"],
        )

    @cached_property
    def import_id(self) -> UUID:
        """An import into the campaign that has not begun."""
        return self._import("uploaded")

    @cached_property
    def done_import_id(self) -> UUID:
        """An import into the campaign that is over, some rows of which were not taken."""
        return self._import("processed")

    def _import(self, status: str) -> UUID:
        return self._one(
            "INSERT INTO campaign_uploads (campaign_id, file_id, created_by, status, failed_rows_file) "
            "VALUES (%(c)s, %(f)s, %(owner)s, %(status)s, %(f)s) RETURNING id",
            c=self.campaign_id,
            f=self.table_id,
            owner=self.owner.id,
            status=status,
        )

    def _agent(self, user_id: UUID | None) -> UUID:
        return self._one(
            "INSERT INTO agents (name, email, user_id) VALUES ('An agent', %(email)s, %(user)s) RETURNING id",
            email=f"{secrets.token_hex(8)}@example.com",
            user=user_id,
        )

    @cached_property
    def conversation_id(self) -> UUID:
        """A group of the owner's, with the member."""
        return self._one(
            "WITH c AS (INSERT INTO conversations (title, is_group, created_by) VALUES ('A group', true, %(owner)s)"
            " RETURNING id), m AS (INSERT INTO conversation_members (conversation_id, user_id, role)"
            " SELECT c.id, v.id, v.role FROM c, (VALUES (%(owner)s::uuid, 'owner'), (%(member)s::uuid, 'member'))"
            " v(id, role)) SELECT id FROM c",
            owner=self.owner.id,
            member=self.member.id,
        )

    @cached_property
    def message_id(self) -> UUID:
        """What the owner said in that group."""
        return self._one(
            "WITH m AS (INSERT INTO messages (conversation_id, sender_id, content, text) VALUES (%(c)s, %(owner)s,"
            """ '{"type": "doc", "content": [{"type": "paragraph"}]}', 'hello') RETURNING id, conversation_id)"""
            " UPDATE conversations c SET last_message_id = m.id FROM m WHERE c.id = m.conversation_id RETURNING m.id",
            c=self.conversation_id,
            owner=self.owner.id,
        )

    @cached_property
    def attachment_id(self) -> UUID:
        """A file of the owner's alone that was sent with that message."""
        made = self.owner.post("/files", **form(purpose="attachment"))
        assert made.status == 201, made
        return self._one(
            "WITH f AS (UPDATE files SET status = 'ready' WHERE id = %(id)s RETURNING id)"
            " INSERT INTO attachments (message_id, file_id, position) SELECT %(message)s, id, 1 FROM f"
            " RETURNING file_id",
            id=made.json()["id"],
            message=self.message_id,
        )

    @cached_property
    def course_id(self) -> UUID:
        """A published course of the owner's, in which the member has a seat."""
        return self._course("published")

    @cached_property
    def draft_course_id(self) -> UUID:
        """Another that is published no more."""
        return self._course("draft")

    def _course(self, status: str) -> UUID:
        return self._one(
            "WITH c AS (INSERT INTO courses (title, created_by, status, enrolled_count)"
            " VALUES ('A course', %(owner)s, %(status)s, 1) RETURNING id)"
            " INSERT INTO enrollments (course_id, user_id, status) SELECT id, %(member)s, 'active' FROM c"
            " RETURNING course_id",
            owner=self.owner.id,
            member=self.member.id,
            status=status,
        )

    @cached_property
    def lesson_id(self) -> UUID:
        """The lesson of the published course."""
        return self._one(
            "INSERT INTO lessons (course_id, position, title) VALUES (%(c)s, 1, 'A lesson') RETURNING id",
            c=self.course_id,
        )

    @cached_property
    def lesson_file_id(self) -> UUID:
        """A file of the owner's alone that belongs to that lesson."""
        made = self.owner.post("/files", **form())
        assert made.status == 201, made
        return self._one(
            "WITH f AS (UPDATE files SET status = 'ready' WHERE id = %(id)s RETURNING id)"
            " UPDATE lessons SET file_id = f.id FROM f WHERE lessons.id = %(lesson)s RETURNING file_id",
            id=made.json()["id"],
            lesson=self.lesson_id,
        )

    @cached_property
    def chat_id(self) -> UUID:
        """What the owner calls a conversation with the assistant."""
        chat = uuid4()
        ask(self.owner, "Hello?", str(chat))
        return chat

    @cached_property
    def webhook_id(self) -> UUID:
        """A webhook of the owner's that gets no event by itself."""
        return self._one(
            "INSERT INTO webhooks (owner_id, url, types, secret)"
            " VALUES (%(owner)s, 'https://example.com/hook', '{none}', 'secret') RETURNING id",
            owner=self.owner.id,
        )

    @cached_property
    def delivery_id(self) -> UUID:
        """An event that has arrived at that webhook."""
        return self._one(
            "INSERT INTO webhook_deliveries (webhook_id, event_id, type, status, next_attempt_at, done_at)"
            " VALUES (%(w)s, uuidv7(), 'project.created', 'delivered', NULL, now()) RETURNING id",
            w=self.webhook_id,
        )

    @cached_property
    def notification_id(self) -> UUID:
        """Something the owner is told of."""
        return self._one(
            "INSERT INTO notifications (user_id, event_id, kind, scope, data, in_app, email)"
            " VALUES (%(owner)s, uuidv7(), 'project_added', 'project:' || %(project)s, '{}', true, 'off') RETURNING id",
            owner=self.owner.id,
            project=self.project_id,
        )

    @cached_property
    def push_subscription_id(self) -> UUID:
        """A browser of the owner's."""
        made = self.owner.post("/notifications/push-subscriptions", subscription())
        assert made.status == 201, made
        return UUID(made.json()["id"])

    def unsubscribe_token(self) -> str:
        """What the unsubscribe links of the owner's emails hold."""
        token = secrets.token_urlsafe(32)
        self._one(
            "INSERT INTO unsubscribe_tokens (token, user_id, kind) VALUES (%(token)s, %(owner)s, 'mention')"
            " ON CONFLICT (user_id, kind) DO UPDATE SET token = excluded.token RETURNING user_id",
            token=token,
            owner=self.owner.id,
        )
        return token

    @cached_property
    def export_id(self) -> UUID:
        """The owner's data, put together."""
        return self._one(
            "INSERT INTO exports (user_id, status, bucket, key, size, finished_at, expires_at)"
            " VALUES (%(owner)s, 'ready', %(bucket)s, 'exports/a.zip', 1, now(), now() + interval '7 days')"
            " RETURNING id",
            owner=self.owner.id,
            bucket=settings().files_bucket,
        )

    @cached_property
    def division_id(self) -> UUID:
        """A division the owner belongs to."""
        return self._one(
            "WITH d AS (INSERT INTO divisions (name) VALUES (%(name)s) RETURNING id), "
            "m AS (INSERT INTO user_divisions SELECT %(owner)s, id FROM d) SELECT id FROM d",
            name=f"D {secrets.token_hex(8)}",
            owner=self.owner.id,
        )

    @cached_property
    def role_id(self) -> UUID:
        """A role nobody holds."""
        return self._one("INSERT INTO roles (name) VALUES (%(name)s) RETURNING id", name=f"r{secrets.token_hex(8)}")

    @property
    def user_id(self) -> UUID:
        """The owner's account."""
        return self.owner.id

    @property
    def session_id(self) -> UUID:
        """The owner's session."""
        return self._one("SELECT id FROM sessions WHERE user_id = %(id)s", id=self.owner.id)

    @cached_property
    def identity_id(self) -> UUID:
        """An account at a provider by which the owner can sign in."""
        return self._one(
            "INSERT INTO oauth_identities (user_id, provider, subject) VALUES (%(owner)s, 'github', %(subject)s)"
            " RETURNING id",
            owner=self.owner.id,
            subject=secrets.token_hex(8),
        )

    @cached_property
    def integration_id(self) -> UUID:
        """GitHub, which the owner has connected."""
        return self._one(
            "INSERT INTO integrations (user_id, service, status) VALUES (%(owner)s, 'github', 'connected')"
            " RETURNING id",
            owner=self.owner.id,
        )

    @cached_property
    def request_id(self) -> UUID:
        """Something the owner has asked of GitHub."""
        return self._one(
            "INSERT INTO integration_requests (integration_id, operation, input)"
            " VALUES (%(integration)s, 'github.repository', '{}') RETURNING id",
            integration=self.integration_id,
        )

    def back_from_service(self) -> dict[str, Any]:
        """What the owner's browser comes back with from GitHub, to connect it."""
        provider()
        browser = Browser(self.owner)
        begun = browser.keep(self.owner.post("/integrations", {"service": "github"}))
        assert begun.status == 201, begun
        browser.asked = asked_of(begun.json()["authorization_url"])
        return browser.accept(Account())

    def back_from_provider(self) -> dict[str, Any]:
        """What the browser of somebody new comes back with from GitHub."""
        return Browser().begin("github").accept(Account())

    def refresh_token(self) -> str:
        """The refresh token of that session."""
        return refresh_token(token_keys()[0], self.session_id, 0)

    def mailed(self, purpose: TokenPurpose) -> str:
        """A token as it would be mailed to the owner."""
        with writing() as session:
            return mint(
                session,
                user_id=self.owner.id,
                email=self.owner.user["email"],
                purpose=purpose,
                lifetime=LIFETIMES[purpose],
            )

    def restoring(self) -> str:
        """A token as it is mailed to the owner when they delete their account, which is done."""
        self._one(
            "UPDATE users SET status = 'disabled', deletion_requested_at = now() WHERE id = %(id)s RETURNING id",
            id=self.owner.id,
        )
        return self.mailed("account_restore")

    def _one(self, sql: str, **params: Any) -> UUID:
        with owner_engine().begin() as connection:
            found: UUID = connection.exec_driver_sql(sql, params).scalar_one()
        return found
