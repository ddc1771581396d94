"""The services one can connect, as data. A new one is an entry here, and what can be asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from quintet.config import settings
from quintet.db.models.integrations import ServiceName
from quintet.oauth.providers import client_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One of them. It is used with tokens of an OAuth `provider`, or with a key of the person's own."""

    name: ServiceName
    title: str
    provider: str = ""
    """Of `quintet.oauth.providers`; none for one with keys."""
    scopes: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What the provider is to be asked besides when somebody is sent to it."""
    setting: str = ""
    """Of one with keys: the setting that says where its API is."""
    syncs: bool = False
    """Whether what it holds is fetched regularly."""
    operations: frozenset[str] = frozenset()
    """What can be asked of it."""

    @property
    def address(self) -> str:
        """What addresses of its API begin with, without a slash at the end."""
        if self.provider:
            return client_of(self.provider).provider.api
        address: str = getattr(settings(), self.setting)
        return address


SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service(
            name="github",
            title="GitHub",
            provider="github",
            scopes=("repo",),  # there is none that lets one only read private repositories
            syncs=True,
            operations=frozenset({"github.repository", "github.issue"}),
        ),
        Service(
            name="google_docs",
            title="Google Docs",
            provider="google",
            scopes=("https://www.googleapis.com/auth/drive.readonly",),
            # A refresh token is given with the first consent only, unless one asks for both.
            parameters={"access_type": "offline", "prompt": "consent"},
            syncs=True,
            operations=frozenset({"google_docs.document"}),
        ),
        Service(
            name="meshy",
            title="meshy.ai",
            setting="meshy_api_url",
            operations=frozenset({"meshy.text_to_3d"}),
        ),
        # The API of Luma's Dream Machine: https://docs.lumalabs.ai/docs/api
        Service(
            name="video",
            title="Video generation",
            setting="video_api_url",
            operations=frozenset({"video.generate"}),
        ),
    )
}

SYNCED = tuple(name for name, service in SERVICES.items() if service.syncs)
