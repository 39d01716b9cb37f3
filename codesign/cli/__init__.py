"""The command ``codesign``: one verb a file, each loaded only when it is asked for.

A verb's module exposes ``NAME``, ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``.
Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 a check found
something, 2 usage, 4 an error that the user can mend, 5 a missing optional dependency.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from codesign.errors import CodesignError

__all__ = ["VERBS", "main"]

VERBS: tuple[tuple[str, str], ...] = (
    ("compile", "compile a network for a configuration into a package"),
    ("tune", "search schedules for a network into a records file"),
    ("run", "run a package on the simulator"),
    ("export", "write a package's files for a board or a driver"),
    ("trace", "simulate sampled layers and configurations into a trace store"),
    ("train", "train the cost model on a trace store"),
    ("predict", "predict a network's cycles on a configuration"),
    ("search", "search for the best network and accelerator pair"),
    ("report", "write the report of a search"),
    ("configs", "list, show, check, count and make hardware configurations"),
    ("check", "check an instruction stream against the rules of the machine"),
    ("disasm", "print an instruction stream as text"),
    ("doctor", "show versions, engines and tools"),
    ("nn", "list, sample and look up networks of a space"),
)
"""Verbs in the order of the help; the texts stand here so that ``--help`` loads none of them."""

_USAGE_ERROR = 2
_USER_ERROR = 4
_MISSING_DEPENDENCY = 5
_INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_OWN_PACKAGES = ("codesign", "relay_passes", "vta_configs")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = next((word for word in arguments if not word.startswith("-")), None)
    try:
        args = _parser(verb).parse_args(arguments)
        return _run(args)
    except BrokenPipeError:
        # The reader (`| head`) has left: stdout goes elsewhere, so that the flush at exit is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(args: argparse.Namespace) -> int:
    verbosity: int = args.verbose
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s", force=True)
    logging.getLogger("codesign").setLevel(level)
    if verbosity < 2:  # it logs tracebacks of what its callers mend or report
        logging.getLogger("onnxruntime").setLevel(logging.CRITICAL)
    try:
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _failed("interrupted", _INTERRUPTED)
    except CodesignError as error:
        if verbosity > 1:
            raise
        return _failed(str(error), error.exit_code)
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if verbosity > 1 or missing in ("", *_OWN_PACKAGES):
            raise
        return _failed(
            f"this command needs the Python package {missing}, which is not installed; "
            f"`pip install {missing}` brings it",
            _MISSING_DEPENDENCY,
        )
    except OSError as error:
        if verbosity > 1 or (error.filename is None and error.errno not in _FULL):
            raise
        if error.filename is None:  # stdout; what it still holds goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return _failed(f"the output cannot be written: {error.strerror}", _USER_ERROR)
        return _failed(f"{error.filename}: {error.strerror}", _USER_ERROR)


def _failed(message: str, code: int) -> int:
    print(f"codesign: error: {message}", file=sys.stderr)
    return code


def _parser(verb: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="codesign",
        description="Find, compile and prove the network and accelerator that are best together.",
        epilog="`codesign VERB --help` explains a verb.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="say more on stderr; twice: tracebacks"
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, text in VERBS:
        child = verbs.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", conflict_handler="resolve"
        )
        if name != verb:
            continue
        child.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        child.add_argument(
            "-v", "--verbose", action="count", default=argparse.SUPPRESS, help="say more on stderr"
        )
        module = import_module(f"codesign.cli.{name}")
        module.add_arguments(child)
        child.set_defaults(run=module.run)
    return parser


class _Version(argparse.Action):
    """Prints the version; looks it up only when asked, which costs a file search."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import version

        print(f"codesign {version('codesign')}")
        parser.exit()
