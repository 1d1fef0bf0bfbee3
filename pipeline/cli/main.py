"""The command `plumbline`: which commands there are, and how it ends.

A command is one function in a file of its own, imported when it is called and not before: `plumbline serve` runs where
torch is not installed. Exit code 0: done; 1: it failed; 2: it was asked for something impossible; 130: interrupted.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from cyclopts import App, CycloptsError, Parameter, UnknownCommandError

from pipeline.exceptions import DataError, PlumblineError, SettingsError

FAILED, MISUSED, INTERRUPTED, CUT_OFF = 1, 2, 130, 141  # the last two as a shell reports SIGINT and SIGPIPE


class Command(NamedTuple):
    """One command: `plumbline NAME` calls the function NAME of the module `pipeline.cli.NAME`."""

    name: str
    summary: str
    examples: tuple[str, ...]
    show: bool = True


COMMANDS = (
    Command(
        "demo",
        "A real machine's last ten weeks, and what Plumbline says of them.",
        ("plumbline demo", "plumbline demo --out look-here", "plumbline demo --kafka"),
    ),
    Command(
        "init",
        "Write a commented configuration that runs, from a file or a topic.",
        (
            "plumbline init --data history/pump-7.parquet",
            "plumbline init --topic readings --out plumbline.yaml",
        ),
    ),
    Command(
        "check",
        "Say whether a configuration will run, before it does.",
        ("plumbline check plumbline.yaml", "plumbline check plumbline.yaml --connect"),
    ),
    Command(
        "train",
        "Learn from a history what normal looks like: a bundle.",
        (
            "plumbline train --data history/ --out bundles/pumps",
            "plumbline train --data a.csv b.csv --ignore room --out bundles/pumps",
            "plumbline train plumbline.yaml --data history/ --out bundles/pumps",
        ),
    ),
    Command(
        "backtest",
        "Score files as the service would have scored them live.",
        (
            "plumbline backtest --train before.parquet --test after.parquet --out report",
            "plumbline backtest --bundle bundles/pumps --test after/ --out report",
            "plumbline backtest plumbline.yaml --bundle bundles/pumps --test after/ --out report",
        ),
    ),
    Command(
        "evaluate",
        "Say how well known anomalies were found, beside simple detectors.",
        (
            "plumbline evaluate --report report --test after.parquet --out evaluation",
            "plumbline evaluate --report report --test after/ --train before/ --out evaluation",
            "plumbline evaluate --bundle bundles/pumps --test after/ --label is_anomaly --out evaluation",
        ),
    ),
    Command(
        "serve",
        "Score a topic as it grows, until stopped.",
        ("plumbline serve plumbline.yaml", "plumbline serve plumbline.yaml --dry-run"),
    ),
    Command(
        "notify",
        "Tell Alertmanager, a webhook or a file of alerts, until stopped.",
        ("plumbline notify plumbline.yaml", "plumbline notify plumbline.yaml --from-start"),
    ),
    Command(
        "publish",
        "Write a file's readings to the input topic, at any pace.",
        (
            "plumbline publish plumbline.yaml --data after.parquet --speed 300",
            "plumbline publish plumbline.yaml --data after.parquet --speed max",
        ),
    ),
    Command(
        "capture",
        "Keep what a topic holds as a file to train on.",
        (
            "plumbline capture plumbline.yaml --last 14d --out history.parquet",
            "plumbline capture plumbline.yaml --out all-of-it.parquet",
        ),
    ),
    Command(
        "explain",
        "Say why a reading was or was not flagged.",
        (
            "plumbline explain --bundle bundles/pumps --test after.parquet",
            "plumbline explain --bundle bundles/pumps --test after/ --series pump-7 --at 2024-05-01T14:05",
            "plumbline explain --bundle bundles/pumps --test after.parquet --row 1234 --out why.png",
            "plumbline explain plumbline.yaml --bundle bundles/pumps --test after.parquet --alert 3f2c9a",
        ),
    ),
    Command(
        "reproduce",
        "Score an alert's readings again and compare.",
        (
            "plumbline reproduce plumbline.yaml 3f2c9a",
            "plumbline reproduce plumbline.yaml 3f2c9a --from-start",
        ),
    ),
    Command(
        "inspect",
        "Show what is inside a bundle or saved state.",
        ("plumbline inspect bundles/pumps", "plumbline inspect state --json"),
    ),
    Command(
        "schema",
        "Print the JSON Schema of a configuration, for editors.",
        ("plumbline schema > plumbline.schema.json", "plumbline schema | grep -A 2 clear_after"),
    ),
    Command(
        "kafka",
        "Run a real Kafka broker here until stopped.",
        ("plumbline kafka", "plumbline kafka --topic readings --partitions 4"),
        show=False,
    ),
)
LETTER_COMMANDS = (
    Command(
        "list",
        "Show the records that were no readings, and why.",
        (
            "plumbline dead-letters list plumbline.yaml",
            "plumbline dead-letters list plumbline.yaml --reason field type --since 36h",
            "plumbline dead-letters list plumbline.yaml --reason time --since 2026-11-26T08:00 --json",
        ),
    ),
    Command(
        "publish",
        "Send them back to where they came from, once what was wrong is mended.",
        (
            "plumbline dead-letters publish plumbline.yaml --reason time --since 36h --dry-run",
            "plumbline dead-letters publish plumbline.yaml --topic readings",
            "plumbline dead-letters publish plumbline.yaml --letter 0:17 0:21",
        ),
    ),
)
TAG_COMMANDS = (
    Command(
        "train",
        "Learn to tag words from a treebank in CoNLL-U.",
        (
            "plumbline tag train --out taggers/tutorial",
            "plumbline tag train --data train.conllu --dev dev.conllu --out taggers/english",
        ),
    ),
    Command(
        "predict",
        "Tag the words of a text.",
        (
            'plumbline tag predict --bundle taggers/tutorial --text "The dog ate the apple"',
            "plumbline tag predict --bundle taggers/english --data test.conllu",
        ),
    ),
)


def application(words: Sequence[str] = ()) -> App:
    """The command line for these words; no command's module is imported by this.

    A command that is not among the words is known by its summary alone; one that is, is described by its docstring.
    """
    app = App(
        name="plumbline",
        help="Says which sensor readings are not normal, at a rate of false alarms that you set.",
        help_format="markdown",
        help_epilogue=_epilogue(("plumbline demo", "plumbline train --help")),
        version=lambda: importlib.metadata.version("plumbline"),
        # An option that takes a list takes all the words after it: `--data a b c`.
        default_parameter=Parameter(consume_multiple=1, negative=()),
        suppress_keyboard_interrupt=False,
    )
    for command in COMMANDS:
        _register(app, command, f"pipeline.cli.{command.name}:{command.name}", words)
    tag = App(
        name="tag",
        help="The other network on the same core: one tag per word.",
        help_epilogue=_epilogue([example for command in TAG_COMMANDS for example in command.examples]),
    )
    for command in TAG_COMMANDS:
        _register(tag, command, f"pipeline.cli.tag:{command.name}", words)
    app.command(tag)
    letters = App(
        name="dead-letters",
        help="Records that were no readings: seen, and sent again.",
        help_epilogue=_epilogue([example for command in LETTER_COMMANDS for example in command.examples]),
    )
    for command in LETTER_COMMANDS:
        _register(letters, command, f"pipeline.cli.dead_letters:{command.name}_letters", words)
    app.command(letters)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; failures are one message on standard error."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(pool, "1")  # before numpy is imported: one thread a process (docs/decisions/0003)
    try:
        try:
            result = application(words)(words, print_error=False, exit_on_error=False, result_action="return_value")
        finally:
            sys.stdout.flush()  # here, so that a reader who left early is noticed here
        return result if isinstance(result, int) else 0
    except UnknownCommandError as error:
        return _failed(_unknown_command(error), MISUSED)
    except CycloptsError as error:
        error.verbose = False
        return _failed(f"{error}\n{_help_hint(error)}", MISUSED)
    except (SettingsError, DataError) as error:
        return _failed(str(error), MISUSED)
    except PlumblineError as error:
        return _failed(str(error), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the last flush fails once more
        return CUT_OFF
    except OSError as error:
        return _failed(str(error), FAILED)
    except ImportError as error:
        package = _absent_package(error)
        if package is None:
            raise
        return _failed(
            f"this command needs the package {package}, which is not installed here: pip install plumbline", FAILED
        )


def _register(app: App, command: Command, path: str, words: Sequence[str]) -> None:
    app.command(
        path,
        name=command.name,
        help=None if command.name in words else command.summary,
        help_epilogue=_epilogue(command.examples),
        show=command.show,
    )


def _epilogue(examples: Sequence[str]) -> str:
    return "  \n".join(["Examples:", *(f"`{example}`" for example in examples)])  # two blanks: a line of its own


def _unknown_command(error: UnknownCommandError) -> str:
    """What was typed and the nearest command; cyclopts' own words would import every command."""
    groups = {"tag": TAG_COMMANDS, "dead-letters": LETTER_COMMANDS}
    chain = error.command_chain or ()
    known = [command.name for command in (groups[chain[0]] if chain else COMMANDS) if command.show]
    known += [] if chain else groups
    word = (error.unused_tokens or [""])[0]
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
    return f"{word} is no command; {hint}\n{_help_hint(error)}"


def _help_hint(error: CycloptsError) -> str:
    return f"Try: {' '.join(['plumbline', *(error.command_chain or ())])} --help"


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"plumbline: {message}\n")
    return code


def _absent_package(error: ImportError) -> str | None:
    """The package outside this program whose absence caused this error; None when our own code is at fault."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and cause.name is not None:
            package = cause.name.partition(".")[0]
            return None if package in ("pipeline", "models") else package
        cause = cause.__cause__
    return None


if __name__ == "__main__":
    sys.exit(main())
