"""Services that make something: how they are asked, what they say of it, and what becomes of the result."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from functions.integration_syncer.troubles import Outage

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
"""Of a job: it becomes part of a path."""


@dataclass(frozen=True, slots=True)
class State:
    """What a service says of a job: how far it is; its result's address once it is done; why there is none."""

    progress: int | None = None
    url: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of job."""

    create: str
    """The path to POST to."""
    body: Callable[[dict[str, Any]], dict[str, Any]]
    id_of: Callable[[dict[str, Any]], str]
    read: str
    """The path to GET, with a place for the `id`."""
    state: Callable[[dict[str, Any], dict[str, Any]], State]
    """From what is answered, and what was asked for."""
    file: Callable[[dict[str, Any]], tuple[str, str]]
    """The result's file name and media type."""


def _meshy_state(told: dict[str, Any], asked: dict[str, Any]) -> State:
    status = told["status"]
    if status == "SUCCEEDED":
        url = (told.get("model_urls") or {}).get(asked["format"])
        return State(100, url=url) if url else State(error="There is no model in this format.")
    if status in ("FAILED", "CANCELED", "EXPIRED"):
        return State(error=_reason((told.get("task_error") or {}).get("message"), status.lower()))
    if status in ("PENDING", "IN_PROGRESS"):
        return State(_percent(told.get("progress")))
    raise ValueError(status)


def _video_state(told: dict[str, Any], asked: dict[str, Any]) -> State:
    status = told["state"]
    if status == "completed":
        url = (told.get("assets") or {}).get("video")
        return State(100, url=url) if url else State(error="There is no video.")
    if status == "failed":
        return State(error=_reason(told.get("failure_reason"), status))
    if status in ("queued", "dreaming", "pending", "processing"):
        return State()
    raise ValueError(status)


def _id(told: Any) -> str:
    if not (isinstance(told, str) and _ID.fullmatch(told)):
        raise ValueError("no id")
    return told


def _reason(told: Any, status: str) -> str:
    text = "".join(character for character in str(told or "") if character.isprintable())[:300]
    return text or f"The service says that it has {status}."


def _percent(told: Any) -> int | None:
    return min(100, max(0, int(told))) if isinstance(told, int | float) else None


_MODELS = {
    "glb": "model/gltf-binary",
    "fbx": "application/octet-stream",
    "obj": "model/obj",
    "usdz": "model/vnd.usdz+zip",
}

JOBS: dict[str, Job] = {
    # https://docs.meshy.ai/api/text-to-3d
    "meshy.text_to_3d": Job(
        create="/openapi/v2/text-to-3d",
        body=lambda asked: {
            "mode": "preview",
            "should_remesh": True,
            **{name: asked[name] for name in ("prompt", "model_type", "topology", "target_polycount")},
        },
        id_of=lambda told: _id(told["result"]),
        read="/openapi/v2/text-to-3d/{id}",
        state=_meshy_state,
        file=lambda asked: (f"model.{asked['format']}", _MODELS[asked["format"]]),
    ),
    # https://docs.lumalabs.ai/reference/creategeneration
    "video.generate": Job(
        create="/dream-machine/v1/generations/video",
        body=dict,
        id_of=lambda told: _id(told["id"]),
        read="/dream-machine/v1/generations/{id}",
        state=_video_state,
        file=lambda asked: ("video.mp4", "video/mp4"),
    ),
}


def sensible(title: str, read: Callable[[], Any]) -> Any:
    """What `read` makes of an answer; Outage when that is not as the service documents it."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise Outage(f"{title} answered something that makes no sense.", again_in=300) from None
