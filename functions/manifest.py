"""THE list: every function, what triggers it, its size, and what it needs.

CDK, the local run and the tests read it; nobody repeats its content. Standard library only.
"""

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum


class Need(StrEnum):
    """What a function may reach. CDK turns each into grants and environment variables; no need, no access."""

    DATABASE = "database"  # as the application's role, through the proxy where there is one
    DATABASE_OWNER = "database_owner"  # as the schema's owner, directly: migrations and partitions
    TOKEN_SECRET = "token_secret"  # read what signs tokens
    TOKEN_SECRET_ROTATE = "token_secret_rotate"  # replace it
    FILES_LIST = "files_list"  # see whether the bucket is there, and the names in it
    FILES_READ = "files_read"
    FILES_WRITE = "files_write"
    FILES_DELETE = "files_delete"
    ARCHIVE_WRITE = "archive_write"  # put old events into the archive bucket
    SEALING = "sealing"  # make data keys: seal what is secret of integrations
    UNSEALING = "unsealing"  # open those keys again
    PUSH_SECRET = "push_secret"  # read what the key is derived from that says who pushes
    OAUTH_CLIENTS = "oauth_clients"  # read what we are to the providers people sign in with and connect to
    SEND_EMAIL = "send_email"  # through SES
    API_URL = "api_url"  # the API's public address, for links in emails
    AI = "ai"  # the provider of the assistant's answers
    SOCKETS = "sockets"  # the WebSocket API's address, to post to its clients and to close their connections


DEAD_LETTERS = "-dead-letters"
"""What a queue's name plus this names: where its messages go that could not be done."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, and how it feeds its function. Every queue has a dead-letter queue."""

    name: str
    _: KW_ONLY
    batch_size: int = 10
    max_concurrency: int = 10
    max_receive_count: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One Lambda function. Exactly one of `routes`, `queue`, `schedule` and `on_deploy` says what triggers it.

    The one with `websocket` serves the WebSocket API beside its routes.
    """

    description: str
    routes: tuple[str, ...] = ()  # the first path segments it answers, under every prefix
    websocket: bool = False
    streams: bool = False  # a web server behind Lambda Web Adapter, whose answers go out as they are made
    free_bodies: bool = False  # people's own texts and files: the firewall lets what is in them through
    queue: Queue | None = None
    schedule: str = ""  # an EventBridge expression
    on_deploy: bool = False
    needs: frozenset[Need] = frozenset()
    sends_to: frozenset[str] = frozenset()  # queues it may send to
    looks_at: frozenset[str] = frozenset()  # queues it may ask about, and neither send to nor read
    ships: tuple[str, ...] = ()  # files beside its own folder that go into its bundle
    connections: int = 1  # to the database, at the same time
    memory: int = 1024  # MB
    timeout: int = 29  # seconds; API Gateway waits no longer, but for what streams


PREFIXES = ("/api/v1", "/api", "")
"""Every route is reachable under each; the first is canonical, and comes first so that it is stripped first."""

CATCH_ALL = "system"
"""The function that answers paths nobody serves, so that a missing route is our own 404."""

OPENAPI_DOCUMENT, ASYNCAPI_DOCUMENT = "docs/openapi.json", "docs/asyncapi.json"
"""Where the documentation of the APIs is, from the root of the checkout and of the bundle that ships it."""

_API = frozenset({Need.DATABASE})

FUNCTIONS: dict[str, Function] = {
    "auth": Function(
        description="Registration, sign-in by password or provider, sessions, password reset, public keys",
        routes=("auth", "login", "logout", "sessions", ".well-known"),
        needs=_API | {Need.TOKEN_SECRET, Need.OAUTH_CLIENTS},
        sends_to=frozenset({"email", "realtime"}),
        memory=1769,  # one whole vCPU: argon2 is what a sign-in costs
    ),
    "users": Function(
        description="Accounts, administration of accounts, exports of their data, roles and divisions",
        routes=("users", "admin", "roles", "divisions"),
        needs=_API | {Need.FILES_READ},  # to sign links to exports
        sends_to=frozenset({"email", "webhooks", "notifications", "realtime", "exports", "uploads"}),
        memory=1769,  # argon2 again: an administrator sets passwords
    ),
    "projects": Function(
        description="Projects and their members",
        routes=("projects",),
        free_bodies=True,
        needs=_API,
        sends_to=frozenset({"webhooks", "notifications", "realtime"}),
    ),
    "tasks": Function(
        description="Tasks of projects",
        routes=("tasks",),
        free_bodies=True,
        needs=_API,
        sends_to=frozenset({"webhooks", "notifications", "realtime"}),
    ),
    "conversations": Function(
        description="Conversations, direct and in groups, and their messages",
        routes=("conversations", "messages"),
        free_bodies=True,
        needs=_API,
        sends_to=frozenset({"webhooks", "notifications", "realtime"}),
    ),
    "files": Function(
        description="Folders, uploads and downloads",
        routes=("files", "folders"),
        free_bodies=True,
        needs=_API | {Need.FILES_READ, Need.FILES_WRITE},
        sends_to=frozenset({"uploads", "webhooks", "realtime"}),
    ),
    "campaigns": Function(
        description="Campaigns, the agents assigned to them, their contacts and imports",
        routes=("campaigns", "contacts"),
        free_bodies=True,
        needs=_API | {Need.FILES_READ, Need.FILES_WRITE},
        sends_to=frozenset({"campaigns", "webhooks", "realtime"}),
    ),
    "agents": Function(
        description="Agents: who works on contacts",
        routes=("agents",),
        needs=_API,
        sends_to=frozenset({"campaigns", "webhooks", "realtime"}),
    ),
    "courses": Function(
        description="Courses, their lessons, and who takes them",
        routes=("courses",),
        free_bodies=True,
        needs=_API,
        sends_to=frozenset({"webhooks", "notifications", "realtime"}),
    ),
    "reports": Function(
        description="Reports on campaigns and agents, as figures and as pages",
        routes=("reports",),
        needs=_API,
    ),
    "webhooks": Function(
        description="Webhooks: who is sent which events, and what became of them",
        routes=("webhooks",),
        needs=_API,
        sends_to=frozenset({"webhooks"}),
    ),
    "notifications": Function(
        description="What people are told of, and where they want to be told",
        routes=("notifications",),
        needs=_API | {Need.PUSH_SECRET},
        sends_to=frozenset({"realtime"}),
    ),
    "search": Function(
        description="One search over everything the caller may read",
        routes=("search",),
        needs=_API,
    ),
    "integrations": Function(
        description="Services that people connect: GitHub, Google Docs, meshy.ai, video generation",
        routes=("integrations",),
        free_bodies=True,
        needs=_API | {Need.SEALING, Need.OAUTH_CLIENTS},
        sends_to=frozenset({"integrations", "webhooks", "realtime"}),
    ),
    "ai": Function(
        description="The assistant: answers as streams, from what the caller may read, and proposals",
        routes=("ai",),
        streams=True,
        free_bodies=True,
        needs=_API | {Need.AI},
        sends_to=frozenset({"webhooks", "notifications", "realtime"}),
        connections=2,  # an answer is written down while it is read
        timeout=300,
    ),
    "events": Function(
        description="The audit trail and the feed",
        routes=("events",),
        needs=_API,
    ),
    "realtime": Function(
        description="Tickets to connect with, and what connected clients send: typing, presence, replay",
        routes=("realtime",),
        websocket=True,
        needs=_API | {Need.SOCKETS},
    ),
    "system": Function(
        description="Health, the documentation of the APIs, and paths nobody serves",
        routes=("health", "openapi.json", "asyncapi.json"),
        needs=_API | {Need.FILES_LIST},
        looks_at=frozenset({"uploads"}),
        ships=(OPENAPI_DOCUMENT, ASYNCAPI_DOCUMENT),
    ),
    "upload_processor": Function(
        description="Checks each uploaded object and makes its file ready or rejected; removes those of deleted files",
        queue=Queue("uploads", batch_size=5, max_concurrency=20),
        needs=frozenset({Need.DATABASE, Need.FILES_READ, Need.FILES_DELETE}),
        sends_to=frozenset({"uploads", "email", "campaigns", "webhooks", "realtime", "notifications"}),
        timeout=300,
    ),
    "campaign_processor": Function(
        description="Imports uploaded contacts and undoes imports; shares contacts out among agents",
        queue=Queue("campaigns", batch_size=1, max_concurrency=4),
        needs=frozenset({Need.DATABASE, Need.FILES_READ, Need.FILES_WRITE}),
        sends_to=frozenset({"campaigns", "email", "webhooks", "notifications", "realtime"}),
        connections=3,  # one stages while one merges; the third shows that both are alive
        memory=3008,
        timeout=900,
    ),
    "exporter": Function(
        description="Puts all of a person's data together as one archive",
        queue=Queue("exports", batch_size=1, max_concurrency=2),
        needs=frozenset({Need.DATABASE, Need.FILES_READ, Need.FILES_WRITE}),
        sends_to=frozenset({"email", "uploads"}),
        memory=1769,  # one whole vCPU, to compress
        timeout=900,
    ),
    "notifier": Function(
        description="Tells people of what concerns them",
        queue=Queue("notifications"),
        needs=frozenset({Need.DATABASE}),
        sends_to=frozenset({"email", "push", "realtime"}),
        timeout=30,
    ),
    "push_sender": Function(
        description="Pushes each notification to each browser once",
        queue=Queue("push"),
        needs=frozenset({Need.DATABASE, Need.PUSH_SECRET}),
        timeout=60,
    ),
    "realtime_broadcaster": Function(
        description="Hands what happened to those who are connected and may see it; closes what has ended",
        queue=Queue("realtime"),
        needs=frozenset({Need.DATABASE, Need.SOCKETS}),
        memory=1769,  # one whole vCPU: two hundred members are two hundred requests
        timeout=30,  # where nobody answers; a batch that was killed is done again soon after
    ),
    "email_sender": Function(
        description="Sends each email once",
        queue=Queue("email"),
        needs=frozenset({Need.DATABASE, Need.SEND_EMAIL, Need.API_URL}),
        timeout=60,
    ),
    "webhook_sender": Function(
        description="Sends events to the webhooks whose owners may read them, again until they arrive",
        queue=Queue("webhooks", batch_size=1, max_concurrency=20),  # nobody waits for another's slow receiver
        needs=frozenset({Need.DATABASE}),
        sends_to=frozenset({"webhooks", "email"}),
        timeout=45,  # three times what one attempt may take
    ),
    "integration_syncer": Function(
        description="Fetches what connected services hold, asks them what people ask of them, and revokes tokens",
        queue=Queue("integrations", batch_size=1, max_concurrency=5),
        needs=frozenset(
            {Need.DATABASE, Need.SEALING, Need.UNSEALING, Need.OAUTH_CLIENTS, Need.FILES_READ, Need.FILES_WRITE}
        ),
        sends_to=frozenset({"integrations", "webhooks", "realtime"}),
        timeout=300,
    ),
    "email_feedback": Function(
        description="Marks addresses that bounce or complain",
        queue=Queue("email_feedback"),
        needs=frozenset({Need.DATABASE}),
        timeout=30,
    ),
    "event_dispatcher": Function(
        description="Sends what is due, or a crash kept from its queue, and merges tallies",
        schedule="rate(1 minute)",
        needs=frozenset({Need.DATABASE, Need.FILES_READ}),
        sends_to=frozenset(
            {
                "campaigns",
                "email",
                "exports",
                "integrations",
                "notifications",
                "push",
                "realtime",
                "uploads",
                "webhooks",
            }
        ),
        timeout=55,
    ),
    "reminders": Function(
        description="Tells people in their morning of tasks due tomorrow, and gathers the digests of the day",
        schedule="rate(15 minutes)",
        needs=frozenset({Need.DATABASE}),
        sends_to=frozenset({"notifications", "email", "webhooks", "realtime"}),
        timeout=300,
    ),
    "maintenance": Function(
        description="Partitions ahead and archived, expired rows and deleted accounts removed, signing key rotated",
        schedule="rate(1 day)",
        needs=frozenset(
            {
                Need.DATABASE_OWNER,
                Need.TOKEN_SECRET,
                Need.TOKEN_SECRET_ROTATE,
                Need.ARCHIVE_WRITE,
                Need.FILES_READ,
            }
        ),
        sends_to=frozenset({"uploads", "webhooks", "realtime", "email", "notifications", "integrations"}),
        timeout=900,
    ),
    "db_migrator": Function(
        description="Brings the schema to the newest version before the other functions change",
        on_deploy=True,
        needs=frozenset({Need.DATABASE_OWNER, Need.TOKEN_SECRET}),
        timeout=600,
    ),
}

QUEUES: dict[str, str] = {function.queue.name: name for name, function in FUNCTIONS.items() if function.queue}
"""Queue name -> the function that consumes it."""

ROUTES: dict[str, str] = {route: name for name, function in FUNCTIONS.items() for route in function.routes}
"""First path segment -> the function that answers it."""


def handler_path(name: str) -> str:
    """What Lambda is given to start a function: a dotted path, or the script by which its web server starts."""
    return f"functions/{name}/run.sh" if FUNCTIONS[name].streams else f"functions.{name}.handler.handler"


def visibility_timeout(function: Function) -> int:
    """Seconds a received message stays hidden: six times the timeout, as AWS advises for Lambda."""
    return 6 * function.timeout


def lease(function: Function) -> int:
    """Seconds a consumer may hold a delivery: more than it can run, less than its message stays hidden."""
    return function.timeout + 30
