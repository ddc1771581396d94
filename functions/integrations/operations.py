"""What can be asked of the services: one model for each operation, told apart by `operation`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from quintet.http.schemas import Input, Number, text

_OPERATIONS = ("github.repository", "github.issue", "google_docs.document", "meshy.text_to_3d", "video.generate")


def _known(value: Any) -> Any:
    if value not in _OPERATIONS:
        raise ValueError(f"there are the operations {', '.join(f'`{name}`' for name in _OPERATIONS)}")
    return value


def _tag(value: Any) -> str | None:
    """Which model it is; one that there is not is taken for the first, which says which there are.

    In angle brackets, by which `quintet.http.problems` keeps it out of pointers.
    """
    if not isinstance(value, dict):
        return None
    operation = value.get("operation")
    known = isinstance(operation, str) and operation in _OPERATIONS
    return f"<{operation if known else _OPERATIONS[0]}>"


_Known = BeforeValidator(_known)
_Name = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*$")]
"""As GitHub has them; never dots alone."""
_Prompt = Annotated[str, text(5000, min_length=1)]


class GitHubRepository(Input):
    """Read a repository of GitHub."""

    operation: Annotated[Literal["github.repository"], _Known]
    owner: _Name
    repository: _Name


class GitHubIssue(Input):
    """Read an issue, or a pull request, of GitHub."""

    operation: Annotated[Literal["github.issue"], _Known]
    owner: _Name
    repository: _Name
    number: Annotated[int, Field(ge=1, le=2**31 - 1), Number]


class GoogleDocument(Input):
    """Read the text of a Google document."""

    operation: Annotated[Literal["google_docs.document"], _Known]
    document: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,200}$", description="Its id, as in its address.")]


class MeshyTextTo3D(Input):
    """Have meshy.ai make a 3D model, which becomes a file (https://docs.meshy.ai/api/text-to-3d, a preview task)."""

    operation: Annotated[Literal["meshy.text_to_3d"], _Known]
    prompt: Annotated[str, text(600, min_length=1)]
    model_type: Literal["standard", "lowpoly"] = "standard"
    topology: Literal["quad", "triangle"] = "triangle"
    target_polycount: Annotated[int, Field(ge=100, le=300_000), Number] = 30_000
    format: Literal["glb", "fbx", "obj", "usdz"] = "glb"


class VideoGenerate(Input):
    """Have a video made, which becomes a file (https://docs.lumalabs.ai/docs/video-generation)."""

    operation: Annotated[Literal["video.generate"], _Known]
    prompt: _Prompt
    model: Literal["ray-2", "ray-flash-2"] = "ray-2"
    aspect_ratio: Literal["1:1", "3:4", "4:3", "9:16", "16:9", "9:21", "21:9"] = "16:9"
    duration: Literal["5s", "9s"] = "5s"
    resolution: Literal["540p", "720p", "1080p", "4k"] = "720p"
    loop: bool = False


Operation = GitHubRepository | GitHubIssue | GoogleDocument | MeshyTextTo3D | VideoGenerate

RequestCreate = Annotated[
    Annotated[GitHubRepository, Tag("<github.repository>")]
    | Annotated[GitHubIssue, Tag("<github.issue>")]
    | Annotated[GoogleDocument, Tag("<google_docs.document>")]
    | Annotated[MeshyTextTo3D, Tag("<meshy.text_to_3d>")]
    | Annotated[VideoGenerate, Tag("<video.generate>")],
    Discriminator(
        _tag,
        custom_error_type="operation",
        custom_error_message="send a JSON object, with Content-Type: application/json, that says which `operation`",
    ),
]
