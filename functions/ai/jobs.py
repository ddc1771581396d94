"""`POST /ai`: something done with a text. What a rule can do a rule does; the rest is the provider's."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from functions.ai import context, limits, prompts
from functions.ai.chunks import DONE, Chunk, encoded
from functions.ai.documents import formatted, issues_in, listed, require_formattable
from functions.ai.producing import MAX_CHARACTERS, MAX_SECONDS
from functions.ai.providers import Finish, Prompt, Provider, ProviderError, Source, Text, Turn, Usage, provider
from functions.ai.providers.offline import NOTICE
from functions.ai.schemas import CitedSource, Issue, TaskAnswer, TaskRequest
from functions.ai.translating import Translation, storable
from quintet.config import settings
from quintet.db.session import writing
from quintet.errors import BadRequest, ServiceUnavailable
from quintet.identity.principal import Principal
from quintet.observability import logger

_RULES = {
    "suggest": "Suggest what to do next, as a short list: concrete steps, each with its reason.",
    "format": "Format the user's text as Markdown: headings, lists, code and emphasis where they help. "
    "Change no words. Answer with the text alone.",
    "validate": "Judge the user's text: what is missing, unclear or contradicts the documents. "
    "What a program has found already is listed below it; do not repeat that.",
}


@dataclass(frozen=True, slots=True)
class Job:
    """A task that is ready to be done."""

    caller_id: UUID
    asked: TaskRequest
    provider: Provider
    prompt: Prompt
    issues: list[Issue]
    base: str
    counted_on: date | None
    """The day on which what is expected of the provider is counted."""

    def answer(self) -> TaskAnswer:
        """Do it; 503 when the provider does not answer."""
        said = storable("".join(event.delta for event in self._events() if isinstance(event, Text)))
        if self.asked.task == "format" and self.asked.media_type == "text/markdown" and not self._offline:
            with suppress(BadRequest):
                require_formattable(said, "text/markdown")
                said = formatted(said, "text/markdown")
        return TaskAnswer(
            task=self.asked.task,
            provider=self.provider.name,
            text=said,
            valid=not self.issues if self.asked.task == "validate" else None,
            issues=self.issues,
            sources=[
                CitedSource(number=n, kind=s.kind, id=s.id, title=s.title, href=f"{self.base}{s.path}")
                for n, s in enumerate(self.prompt.sources, 1)
            ],
        )

    def stream(self) -> Iterator[str]:
        """Do it while it is read: the stream that a conversation's answers have. It ends with its reader."""
        first: Chunk = {"type": "start", "messageId": str(uuid4()), "messageMetadata": {"provider": self.provider.name}}
        begun = encoded(first, {"type": "start-step"})
        yield begun
        said = Translation(begun, self.prompt.sources, base=self.base)
        try:
            for event in self._events():
                yield encoded(*(said.add(event) if isinstance(event, Text) else said.finish(event.reason)))
        except ServiceUnavailable as problem:
            yield encoded(*said.fail(problem.detail))
        yield DONE

    @property
    def _offline(self) -> bool:
        return self.provider.name == "offline"

    def _events(self) -> Iterator[Text | Finish]:
        if self._offline:
            yield from self._by_rules()
            return
        answer = self.provider.answer(self.prompt)
        began, characters, usage, ended = time.monotonic(), 0, None, False
        overdue = threading.Timer(MAX_SECONDS, answer.close)  # it may not say a word
        overdue.daemon = True
        overdue.start()
        try:
            for event in answer:
                match event:
                    case Usage():
                        usage = event
                    case Text(delta):
                        characters += len(delta)
                        yield event
                    case Finish():
                        ended = True
                        yield event
                if characters > MAX_CHARACTERS:
                    break
        except ProviderError as error:
            if not characters or time.monotonic() - began < MAX_SECONDS:
                logger.warning("The provider did not answer", provider=self.provider.name, error=error.kind)
                raise ServiceUnavailable("The model did not answer. Try again.", headers={"Retry-After": "5"}) from None
        finally:
            overdue.cancel()
            answer.close()
            if self.counted_on:
                expected = self.prompt.expected()
                used = usage or Usage(expected.input_tokens, characters // 4)
                with writing() as session:
                    limits.settle(session, self.caller_id, self.counted_on, expected=expected, used=used)
        if not ended:
            yield Finish("length")

    def _by_rules(self) -> Iterator[Text | Finish]:
        """What can be done without a model."""
        match self.asked.task:
            case "format":
                yield Text(formatted(self.asked.text, self.asked.media_type))
            case "validate":
                yield Text(f"{NOTICE}\n\n{listed(self.issues)}")
            case "suggest":
                yield from (event for event in self.provider.answer(self.prompt) if isinstance(event, Text))
        yield Finish()


def prepare(session: Session, caller: Principal, *, asked: TaskRequest, base: str) -> Job:
    """Look at what is asked, and find what it may draw on."""
    if not asked.text.strip() and (asked.task != "suggest" or not (asked.project_id or asked.conversation_id)):
        raise BadRequest.at("/text", "Send a text, or to be suggested something a project or a conversation.")
    issues = issues_in(asked.text, asked.media_type) if asked.task == "validate" else []
    if asked.task == "format":
        require_formattable(asked.text, asked.media_type)
    sources: list[Source] = []
    if asked.task != "format":
        sources = context.find(
            session,
            caller,
            question=asked.text[:2_000],
            project_id=asked.project_id,
            conversation_id=asked.conversation_id,
        )
    question = asked.text or "What should be done next?"
    if issues:
        question += f"\n\n{listed(issues)}"
    prompt = prompts.prompt(
        [Turn("user", question)],
        sources,
        project_id=asked.project_id,
        conversation_id=asked.conversation_id,
        max_tokens=settings().ai_max_tokens,
        tools=False,
        rules=_RULES[asked.task],
    )
    answerer, counted_on = provider(), None
    if answerer.name != "offline":
        counted_on = limits.reserve(session, caller.user_id, prompt.expected())
    return Job(caller.user_id, asked, answerer, prompt, issues, base, counted_on)
