"""`python -m tests.load` (`make bench`): every row of the table of speeds that this stage can measure.

Each ratio compares two medians of one run, whose rounds take turns. Nothing is asserted: a machine may be busy.
The exit code is 1 only when something could not be measured.
"""

import argparse
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.bundling import LAMBDA_PLATFORM, dependencies_layer, shared_layer
from tests.load import assistant, chat, cold, frames, search, warm
from tests.load.deployed import Runtime, runtime
from tests.load.imports import Imports
from tests.load.stand import Stand, stand

SMALL, LARGE = 10_000, 1_000_000
"""Projects of one member in the two databases."""
OLD = 2_000
"""Projects of another member, all older."""


@dataclass(frozen=True, slots=True)
class Row:
    """A measured value beside where it should be."""

    work: str
    against: str
    value: float
    gate: float | None
    """None where none was ever set: the value is only shown."""
    goal: float | None
    shown: str
    """What the value was made of."""
    more_is_better: bool = False

    def __str__(self) -> str:
        verdict = ""
        if self.gate is not None and self.goal is not None:
            value, gate, goal = (-n if self.more_is_better else n for n in (self.value, self.gate, self.goal))
            verdict = "BEYOND THE GATE" if value > gate else "goal" if value <= goal else ""
        bounds = ["" if bound is None else f"{bound:g}" for bound in (self.gate, self.goal)]
        numbers = f"{self.value:>8.2f} {bounds[0]:>7} {bounds[1]:>6}"
        return f"{self.work:<45} {self.against:<36} {numbers}  {verdict:<15}  {self.shown}"


def ratio(work: str, against: str, seconds: Mapping[str, float], of: str, to: str, gate: float, goal: float) -> Row:
    """The row of one median divided by another."""
    shown = " / ".join(f"{seconds[name] * 1000:.3g} ms" for name in (of, to))
    return Row(work, against, seconds[of] / seconds[to], gate, goal, shown)


def measure_cold(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """Cold starts."""
    seconds = cold.measure(run, people, rounds=3 if quick else 15)
    select, sent = "python -c 'psycopg SELECT 1'", "that and boto3's send_email"
    return [
        ratio("cold start to the first 200: projects", select, seconds, "projects", "select", 4.0, 3.0),
        ratio("the same, of a queue: email_feedback", "the same", seconds, "email_feedback", "select", 3.0, 2.0),
        ratio("the same, and sends: email_sender", sent, seconds, "email_sender", "select_and_send", 3.0, 2.0),
    ]


def measure_lists(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """A warm list."""
    seconds = warm.lists(run, people, rounds=5 if quick else 25)
    return [
        ratio("warm list of 50 rows, event to answer", "its SQL, bare psycopg", seconds, "ours", "bare", 3.0, 2.0),
        ratio("the same", "Express + serverless-http + Drizzle", seconds, "ours", "twin", 1.0, 0.5),
    ]


def measure_courses(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """The list of courses, kept in the function and not."""
    seconds = warm.course_lists(run, people, rounds=5 if quick else 25)
    shown = f"{seconds['public'] * 1000:.3g} ms / {seconds['own'] * 1000:.3g} ms"
    kept = Row("the same, public and kept", "signed in", seconds["public"] / seconds["own"], None, None, shown)
    work = "list of 50 courses, event to answer"
    return [ratio(work, "its SQL, bare psycopg", seconds, "own", "bare", 3.0, 2.0), kept]


def measure_sign_in(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """A sign-in."""
    seconds = warm.sign_ins(run, people, rounds=5 if quick else 25)
    return [ratio("sign-in", "its argon2 verification", seconds, "ours", "argon2", 1.3, 1.1)]


def measure_refusals(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """Whether the time of an answer tells that there is an account."""
    rows = []
    for work, seconds in warm.refusals(run, people, tries=20 if quick else 200).items():
        slower, faster = sorted(seconds, key=lambda address: seconds[address], reverse=True)
        rows.append(ratio(f"{work}, {slower} address", faster, seconds, slower, faster, 1.1, 1.05))
    return rows


def measure_round_trips(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """What a read costs the network."""
    trips = warm.round_trips(run, people)
    return [Row("database round trips, simple read", "", trips, 2, 2, "by libpq's trace")]


def measure_pages(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """A page of a long list. Uses `people` up: their database becomes the small one."""
    large, rows = people.copy("large"), LARGE // 10 if quick else LARGE
    for place, count in ((people, SMALL), (large, rows)):
        _, _, _, many, few, *_ = place.people()
        place.add_projects(few, OLD)
        place.add_projects(many, count)
    seconds = warm.pages(run, people, large, rounds=5 if quick else 25)
    work, against = f"list page at {rows:,} rows", f"at {SMALL:,} rows"
    return [
        ratio(f"{work}, mid-list", against, seconds, "large_middle", "small_middle", 1.2, 1.05),
        ratio("the same, of a member since before", "the same", seconds, "large_old", "small_old", 1.2, 1.05),
    ]


def measure_chat(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """Conversations, of three sizes. Uses `people` up: their database becomes the smallest."""
    sizes = {"10^4": 10_000, "10^5": 100_000, "10^6": 200_000 if quick else 1_000_000}
    stands = {size: people if size == "10^4" else people.copy(f"chat_{n}") for size, n in sizes.items()}
    chats = {size: chat.Chat.in_(stands[size], said=said) for size, said in sizes.items()}
    seconds = chat.reads(run, chats, rounds=3 if quick else 15)
    rows = []
    for name, work in (("page", "first page of 50 messages"), ("unread", f"unread in {chat.CONVERSATIONS} of theirs")):
        largest = f"{work}, 10^6 said"
        rows.append(ratio(largest, "its SQL, bare psycopg", seconds, f"{name}_10^6", f"bare_{name}_10^6", 3.0, 2.0))
        rows += [
            ratio("the same", f"at {size}", seconds, f"{name}_10^6", f"{name}_{size}", 1.2, 1.05)
            for size in ("10^5", "10^4")
        ]
    sent = chat.messages(run, chats["10^6"], rounds=3 if quick else 10)
    for where, work in (("busy", "messages a second, one conversation"), ("quiet", "the same, 100 conversations")):
        rows.append(Row(work, "", 1 / sent[where], None, None, f"{chat.SENDERS} senders", more_is_better=True))
    return rows


def measure_search(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """Searches, of two sizes. Uses `people` up: their database becomes the smaller."""
    rows = LARGE // 10 if quick else LARGE
    stands = {"large": people.copy("search"), "small": people}
    search.fill(stands["large"], tasks=rows)
    search.fill(stands["small"], tasks=SMALL)
    seconds = search.searches(run, stands, rounds=3 if quick else 15)
    of = {"much": "of who has nearly all", "little": f"of who has {search.LITTLE:,}"}
    return [
        ratio(
            f"search, {word} word, {rows:,} tasks, {of[whose]}",
            f"at {SMALL:,} tasks",
            seconds,
            f"{name}_{whose}_large",
            f"{name}_{whose}_small",
            1.5,
            1.2,
        )
        for name, word in (("common", "frequent"), ("rarely", "rare"))
        for whose in of
    ]


def measure_frames(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """From a message to its frame, on a stand of its own."""
    with tempfile.TemporaryDirectory(prefix="quintet-bench-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        found, alone = frames.delays(folder, members=(1, 10, 200), messages=5 if quick else 60)
    delays = {f"{count} connected": found[count] for count in found} | {"of that, the gateway's": alone}
    return [
        Row(f"message to frame, {name} (ms, p50)", "", of.p50 * 1000, None, None, f"p99 {of.p99 * 1000:.3g} ms")
        for name, of in delays.items()
    ]


def measure_assistant(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """From a question to the first word of its answer, on a stand of its own."""
    with tempfile.TemporaryDirectory(prefix="quintet-bench-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        found = assistant.first_words(folder, rounds=5 if quick else 40)
    rows = []
    for pause, seconds in found.items():
        shown = f"{seconds['ours'] * 1000:.3g} ms / {seconds['model'] * 1000:.3g} ms"
        own = seconds["ours"] / seconds["model"]
        work = f"first streamed word, a model of {pause * 1000:g} ms"
        rows.append(Row(work, "the model's own", own, None, None, shown))
    return rows


def measure_reports(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """A report on a campaign of a million contacts and a million activities."""
    seconds = warm.reports(run, people, rounds=5 if quick else 25)
    shown = f"event to answer {seconds['ours'] * 1000:.3g} ms"
    return [Row("report on 1,000,000 contacts, its SQL (ms)", "", seconds["sql"] * 1000, 50, 25, shown)]


def measure_imports(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """Imports of contacts, end to end from S3."""
    many, some, sample = (20_000, 10_000, 2_000) if quick else (1_000_000, 200_000, 100_000)
    with tempfile.TemporaryDirectory(prefix="quintet-bench-") as scratch:
        imports = Imports(run, people, Path(scratch))
        csv, peak, copied = imports.of_csv(many)
        loop = imports.by_loop(sample)
        workbook, workbook_peak, workbook_copied = imports.of_workbook(some)
    per_second = many / csv
    return [
        Row(f"import of {many:,} CSV rows, end to end", "psql \\copy of its contacts", csv / copied, 2.7, 1.6,
            f"{csv:.1f} s / {copied:.1f} s"),
        Row("the same, rows per second (at least)", "csv + pydantic + ORM", per_second / (sample / loop), 12, 18,
            f"{per_second:,.0f} / {sample / loop:,.0f}", more_is_better=True),
        Row("the same, peak memory (MB)", "", peak / 1e6, 128, 64, ""),
        Row(f"import of {some:,} .xlsx rows, end to end", "psql \\copy of its contacts",
            workbook / workbook_copied, 6, 3.5, f"{workbook:.1f} s / {workbook_copied:.1f} s"),
        Row("the same, peak memory (MB)", "", workbook_peak / 1e6, 128, 64, ""),
    ]  # fmt: skip


def measure_layer(run: Runtime, people: Stand, quick: bool) -> list[Row]:
    """What Lambda unpacks."""
    layers = dependencies_layer(LAMBDA_PLATFORM), shared_layer()
    size = sum(file.stat().st_size for layer in layers for file in layer.rglob("*") if file.is_file())
    return [Row("layers, unzipped with bytecode (MB)", "", size / 1e6, 100, 60, LAMBDA_PLATFORM)]


PARTS: dict[str, Callable[[Runtime, Stand, bool], list[Row]]] = {
    "cold": measure_cold,
    "list": measure_lists,
    "courses": measure_courses,
    "sign-in": measure_sign_in,
    "refusals": measure_refusals,
    "trips": measure_round_trips,
    "pages": measure_pages,
    "chat": measure_chat,
    "search": measure_search,
    "frames": measure_frames,
    "assistant": measure_assistant,
    "reports": measure_reports,
    "imports": measure_imports,
    "layer": measure_layer,
}
"""What `--only` names, in the order measured."""


def main() -> int:
    """Measure and print; answers the exit code."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; all of them otherwise")
    parser.add_argument("--quick", action="store_true", help="few rounds and fewer rows: does it work?")
    chosen = parser.parse_args()
    began, failed = time.monotonic(), False
    # Where any user may enter: PostgreSQL does not run as root.
    with tempfile.TemporaryDirectory(prefix="quintet-bench-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        run = runtime(folder / "python")
        packages = "the built layers" if run.bundled else "this environment's packages: no Python 3.13 to build layers"
        print(f"Python {platform.python_version()}, {platform.machine()}; functions run from {packages}.")
        print("PostgreSQL with its defaults, a commit waits for the disk; ratios of medians, rounds take turns.\n")
        print(f"{'work':<45} {'against':<36} {'measured':>8} {'gate':>7} {'goal':>6}")
        with stand(folder / "stand") as people:
            for name in chosen.only or PARTS:
                try:
                    rows = PARTS[name](run, people, chosen.quick)
                except Exception:
                    traceback.print_exc()
                    print(f"{name:<45} could not be measured; see above")
                    failed = True
                else:
                    print(*rows, sep="\n", flush=True)
    print(f"\nMeasured in {time.monotonic() - began:.0f} s.")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
