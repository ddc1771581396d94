"""Producing an answer: in threads of the process that was asked, whether or not somebody still listens.

One thread reads what the provider says; another hands it on at once and writes it down a few times a second. Those
writes also show that the producer lives, and tell it when it is to stop: it then ends the connection to the provider.
On Lambda the function runs until its answer has ended, since the adapter reads it to the end. Should the process die,
the answer's lease runs out, and whoever asks for it next ends it as `interrupted` (`functions.ai.log`).
"""

import threading
import time
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from functions.ai import log
from functions.ai.chunks import DONE, KEEP_ALIVE, Chunk, encoded
from functions.ai.providers import Answer, Event, Finish, Prompt, Provider, ProviderError, Usage
from functions.ai.translating import Translation
from quintet.db.models.assistant import AiStatus
from quintet.db.session import writing
from quintet.observability import logger

BEAT_SECONDS = 0.2
"""Between two writes: how late others see what is said, and how long it takes to hear of a stop."""
MAX_SECONDS = 240
MAX_CHARACTERS = 100_000
"""Of one answer."""
_PIECE = 4_000
"""Characters that are written at once, however soon."""
_KEEP_ALIVE_SECONDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An answer that is to be produced, and is in the database as running; `begun` are its chunks so far."""

    id: UUID
    begun: str
    prompt: Prompt
    provider: Provider
    base: str
    """What addresses of this API begin with."""


class Feed:
    """What whoever asked is sent: an iterable that waits for more."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[str | None] = SimpleQueue()

    def put(self, data: str) -> None:
        """Hand on."""
        if data:
            self._queue.put(data)

    def close(self) -> None:
        """There is no more."""
        self._queue.put(None)

    def __iter__(self) -> Iterator[str]:
        while True:
            try:
                data = self._queue.get(timeout=_KEEP_ALIVE_SECONDS)
            except Empty:
                yield KEEP_ALIVE
                continue
            if data is None:
                return
            yield data


def start(run: Run, feed: Feed) -> None:
    """Begin to produce; returns at once. What is logged has the request's id."""
    context = copy_context()
    threading.Thread(target=context.run, args=(_produce, run, feed), name="assistant", daemon=True).start()


def _produce(run: Run, feed: Feed) -> None:
    try:
        _Production(run, feed).work()
    except Exception as error:
        # Never the message, which may quote a prompt.
        logger.error("An answer could not be produced", error=type(error).__name__)
        _give_up(run)
        feed.put(encoded(log.INTERRUPTED) + DONE)
    finally:
        feed.close()


def _give_up(run: Run) -> None:
    """End the answer for those who follow it, and for the next question."""
    try:
        with writing() as session:
            log.interrupt(session, run.id, abandoned=False)
    except SQLAlchemyError as error:  # then its lease runs out
        logger.warning("An answer has no end yet", error=type(error).__name__)


class _LostError(Exception):
    """The answer is not ours any more."""


class _Production:
    """One answer on its way."""

    def __init__(self, run: Run, feed: Feed) -> None:
        self._run, self._feed = run, feed
        self._said = Translation(run.begun, run.prompt.sources, base=run.base)
        self._events: SimpleQueue[Event | ProviderError] = SimpleQueue()
        self._unwritten = ""
        self._writing = ""  # what nobody knows to be written
        self._position = 1  # what has begun is at 0
        self._written_at = self._began = time.monotonic()
        self._usage: Usage | None = None

    def work(self) -> None:
        """Produce to the end, whichever that is."""
        self._feed.put(self._run.begun)
        answer = self._run.provider.answer(self._run.prompt)
        threading.Thread(target=self._read, args=(answer,), name="provider", daemon=True).start()
        try:
            try:
                status, last = self._pass_on()
            finally:
                answer.close()
            self._end(status, last)
        except _LostError:
            self._feed.put(encoded(log.INTERRUPTED) + DONE)

    def _read(self, answer: Answer) -> None:
        try:
            for event in answer:
                self._events.put(event)
        except ProviderError as error:
            self._events.put(error)
        except Exception as error:
            self._events.put(ProviderError(type(error).__name__))

    def _pass_on(self) -> tuple[AiStatus, list[Chunk]]:
        """Hand on what comes until there is an end; how it ended, and the chunks that say so."""
        beat = time.monotonic() + BEAT_SECONDS
        while True:
            try:
                event = self._events.get(timeout=max(0.0, beat - time.monotonic()))
            except Empty:
                event = None
            match event:
                case None:
                    pass
                case Finish(reason):
                    return "done", self._said.finish(reason)
                case ProviderError():
                    return "failed", self._failed(event)
                case Usage():
                    self._usage = event
                case _:
                    self._hand_on(self._said.add(event))
            if time.monotonic() >= beat or len(self._unwritten) > _PIECE:
                if self._write():
                    return "stopped", self._said.abort()
                beat = time.monotonic() + BEAT_SECONDS
            if self._said.characters > MAX_CHARACTERS or time.monotonic() - self._began > MAX_SECONDS:
                return "done", self._said.finish("length")

    def _hand_on(self, chunks: list[Chunk]) -> None:
        data = encoded(*chunks)
        self._feed.put(data)
        self._unwritten += data

    def _write(self) -> bool:
        """Write what is not written yet; whether the answer is to stop."""
        if not self._writing:
            self._writing, self._unwritten = self._unwritten, ""
        try:
            stop = log.append(self._run.id, self._position, self._writing)
        except SQLAlchemyError as error:
            if time.monotonic() - self._written_at > log.LEASE_SECONDS:
                raise _LostError from None
            logger.warning("A piece of an answer is not written yet", error=type(error).__name__)
            return False
        if stop is None:
            raise _LostError
        self._position += bool(self._writing)
        self._writing, self._written_at = "", time.monotonic()
        return stop

    def _failed(self, error: ProviderError) -> list[Chunk]:
        logger.warning("The provider did not answer", provider=self._run.provider.name, error=error.kind)
        return self._said.fail(
            "The model is busy. Try again in a moment." if error.busy else "The model did not answer. Try again."
        )

    def _end(self, status: AiStatus, last: list[Chunk]) -> None:
        """Write the end, then tell it: whoever has heard it may go on at once."""
        while self._writing:
            self._write()
            if self._writing:
                time.sleep(BEAT_SECONDS)
        data = encoded(*last) + DONE
        usage = self._usage or self._said.estimated_usage(self._run.prompt)
        ending = log.Ending(
            status, self._said.message.parts, self._unwritten + data, usage.input_tokens, usage.output_tokens
        )
        if not log.end(self._run.id, ending):
            raise _LostError
        self._feed.put(data)
