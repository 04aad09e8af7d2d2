"""`tidehunt`: the whole system on one machine, and a window on it."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from shared import __version__
from shared.contract import is_hour_key
from shared.errors import TidehuntError
from workbench import commands, drill_command, gap_commands, hunt_command, run_commands
from workbench.home import unwritable

EPILOG = """\
start here:
  tidehunt hunt                  a demo tenant lands, Spark hunts, incidents open
  tidehunt hunt --logs FOLDER    the same on your own exports (am-<table>/WorkspaceResourceId=...)
  tidehunt report                what the last hunt found, here and as report.html
  tidehunt serve                 keep the local cloud and the app running until Ctrl-C

Every command takes --home FOLDER; without it, the home that was used last is meant.
Settings of the app (TIDEHUNT_...) are taken from the environment; docs/operations.md lists them.
exit codes: 0 all is well, 1 something was not found or failed, 2 bad input, 130 interrupted
"""


DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def parser() -> argparse.ArgumentParser:
    """The command line, whole; docs are generated from it."""
    top = argparse.ArgumentParser(
        prog="tidehunt",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"tidehunt {__version__}")
    verbs = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_hunt(verbs)
    _add_serve(verbs)
    _add_land(verbs)
    _add_import(verbs)
    _add_run(verbs)
    _add_status(verbs)
    _add_changes(verbs)
    _add_quiet(verbs)
    _add_doctor(verbs)
    _add_gaps(verbs)
    _add_drill(verbs)
    _add_report(verbs)
    _add_clean(verbs)
    return top


Verbs = argparse._SubParsersAction


def _verb(
    verbs: Verbs[argparse.ArgumentParser], name: str, help_text: str, more: str = ""
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:]}. {more}".strip(),
    )
    verb.add_argument("--home", metavar="FOLDER", help="where this local Tidehunt keeps everything")
    return verb


def _add_hunt(verbs: Verbs[argparse.ArgumentParser]) -> None:
    hunt = _verb(
        verbs,
        "hunt",
        "land logs, let the system hunt, show what it found",
        "Without --logs a seeded demo tenant is made and its answer key is printed beside the "
        "findings. Again, it finds nothing new and starts no job.",
    )
    hunt.add_argument("--logs", metavar="FOLDER", help="your own exports: a tree of am-* folders")
    hunt.add_argument("--json", action="store_true", help="print one JSON document for scripts")
    hunt.add_argument(
        "--timers-only", action="store_true", help="deliver no event: the timer finds everything"
    )
    hunt.add_argument("--seed", type=int, default=7, help="seed of the demo tenant (default 7)")
    hunt.add_argument(
        "--event-copies", type=int, default=1, metavar="N", help="deliver each event N times"
    )
    hunt.add_argument(
        "--event-shuffle", type=int, metavar="SEED", help="deliver events in random order"
    )
    hunt.set_defaults(work=hunt_command.hunt)


def _add_serve(verbs: Verbs[argparse.ArgumentParser]) -> None:
    serve = _verb(
        verbs,
        "serve",
        "keep the local cloud and the app running until Ctrl-C",
        "Prints the addresses to open. Land blobs with `tidehunt land` from another terminal.",
    )
    serve.add_argument(
        "--port",
        type=int,
        default=7071,
        help="port of the app (default 7071); 0: free ports for everything",
    )
    serve.add_argument("--timers-only", action="store_true", help="deliver no event")
    serve.add_argument(
        "--workspace", action="append", metavar="ID", help="resource id of a workspace to hunt in"
    )
    serve.set_defaults(work=commands.serve)


def _add_land(verbs: Verbs[argparse.ArgumentParser]) -> None:
    land = _verb(
        verbs,
        "land",
        "copy exports into the lake, as the exporter would",
        "A running `tidehunt serve` raises their events; landing the same again is no change.",
    )
    land.add_argument("folder", help="a tree of am-* folders, as azcopy brings it")
    land.set_defaults(work=commands.land)


def _add_import(verbs: Verbs[argparse.ArgumentParser]) -> None:
    importing = _verb(
        verbs,
        "import",
        "bring history from before the export into the lake",
        "Parquet as an export job of Log Analytics writes it, or JSON lines (also .gz), by "
        "TimeGenerated. Hours that the export wrote itself are left out.",
    )
    importing.add_argument("source", metavar="PATH", help="a file, or a folder of files")
    importing.add_argument("--table", required=True, help="e.g. CommonSecurityLog")
    importing.add_argument(
        "--workspace", metavar="ID", help="resource id (default: the lake's, if it has one only)"
    )
    importing.add_argument(
        "--before",
        metavar="YYYYMMDDHH",
        type=_hour,
        help="leave out rows of this hour and later (default: the first hour that was exported)",
    )
    importing.add_argument(
        "--into", metavar="FOLDER", help="write a tree of am-* folders there, to be uploaded"
    )
    importing.set_defaults(work=commands.bring_in)


def _hour(text: str) -> str:
    if not is_hour_key(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no hour such as 2026031004")
    return text


def _add_run(verbs: Verbs[argparse.ArgumentParser]) -> None:
    run = _verb(
        verbs,
        "run",
        "ask a running `tidehunt serve` for an ad-hoc run and wait for it",
        "The lookback ends on and includes the end date. The same ask twice is one run.",
    )
    run.add_argument("hunt", help="name of the hunt, e.g. beaconing")
    run.add_argument("--end-date", required=True, metavar="YYYY-MM-DD", help="last day to read")
    run.add_argument(
        "--lookback-days", type=int, metavar="N", help="days to read (default: the hunt's)"
    )
    run.add_argument("--workspace", help="name or resource id, where there are several")
    run.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="override a parameter"
    )
    run.add_argument("--no-incidents", action="store_true", help="ingest findings, open nothing")
    run.add_argument(
        "--again", action="store_true", help="a new revision, for data that came later"
    )
    run.set_defaults(work=commands.run)


def _add_status(verbs: Verbs[argparse.ArgumentParser]) -> None:
    status = _verb(verbs, "status", "what runs, what waits, what ended last")
    status.add_argument("--json", action="store_true", help="print the API's answer")
    status.set_defaults(work=commands.status)


def _add_changes(verbs: Verbs[argparse.ArgumentParser]) -> None:
    held = _verb(verbs, "held", "runs that wait for a condition or for you, and how to end that")
    held.add_argument("--json", action="store_true", help="print a JSON list")
    held.set_defaults(work=run_commands.held)
    explain = _verb(verbs, "explain", "one run's story, and what to type next")
    explain.set_defaults(work=run_commands.explain)
    release = _verb(verbs, "release", "let a held run try again now")
    redrive = _verb(verbs, "redrive", "judge the slot of a failed or cancelled run again, now")
    abandon = _verb(verbs, "abandon", "give an unfinished run up", "Its slot becomes a gap.")
    abandon.add_argument("--reason", required=True, metavar="WHY", help="kept with the run")
    pause = _verb(
        verbs,
        "pause",
        "let nothing new start, until `tidehunt resume`",
        "What runs is watched to its end and delivered; what is due waits, and nothing is lost.",
    )
    pause.add_argument("--reason", required=True, metavar="WHY", help="shown by every status")
    resume = _verb(verbs, "resume", "end the pause: what is due starts", "The newest slots first.")
    resume.add_argument("--reason", default="", metavar="WHY", help="kept in the log")
    for verb in (pause, resume):
        verb.set_defaults(work=run_commands.pause, change=verb.prog.split()[-1])
    for verb, change in ((release, "release"), (redrive, "redrive"), (abandon, "cancel")):
        verb.set_defaults(work=run_commands.change, change=change)
    for verb in (explain, release, redrive, abandon):
        verb.add_argument("run_id", metavar="RUN", help="its id, as `tidehunt status` shows it")


def _add_quiet(verbs: Verbs[argparse.ArgumentParser]) -> None:
    about = "cases that an analyst's word keeps quiet"
    quiet = verbs.add_parser("quiet", help=about, description=f"{about.capitalize()}.")
    kinds = quiet.add_subparsers(dest="quiet", metavar="WHAT", required=True)
    listed = _verb(kinds, "list", f"{about}, until when and why")
    listed.add_argument("--json", action="store_true", help="print a JSON list")
    listed.set_defaults(work=run_commands.quiet_list)
    revoke = _verb(kinds, "revoke", "let a quiet case speak again", "Its next finding is news.")
    revoke.add_argument("case", metavar="CASE", help="its key, as `tidehunt quiet list` shows it")
    revoke.add_argument("--reason", required=True, metavar="WHY", help="kept in the log")
    revoke.set_defaults(work=run_commands.quiet_revoke)


def _add_doctor(verbs: Verbs[argparse.ArgumentParser]) -> None:
    doctor = _verb(
        verbs,
        "doctor",
        "ask whether everything that the app needs answers, and lets it do what it must",
        "Settings, hunts, ledger, exports, results, Spark, findings table, incidents. It harms "
        "nothing. Exit code 1 when something failed.",
    )
    doctor.add_argument("--json", action="store_true", help="print the API's answer")
    doctor.set_defaults(work=run_commands.doctor)


def _add_gaps(verbs: Verbs[argparse.ArgumentParser]) -> None:
    gap = verbs.add_parser("gap", help="slots that nobody judged", description=gap_commands.__doc__)
    kinds = gap.add_subparsers(dest="gap", metavar="WHAT", required=True)
    listed = _verb(kinds, "list", "slots that nobody judged, with the reason, and fills under way")
    listed.add_argument("--json", action="store_true", help="print the API's answer")
    listed.set_defaults(work=gap_commands.gap_list)
    fill = _verb(
        kinds,
        "fill",
        "judge slots that nobody judged, after telling what it costs",
        "Newest first, a few at a time, beside the live runs. `tidehunt abandon FILL` stops it.",
    )
    fill.add_argument("--hunt", required=True, help="name of the hunt, e.g. beaconing")
    fill.add_argument("--from", dest="first", metavar="YYYY-MM-DD", help="first day to judge")
    fill.add_argument("--to", dest="last", metavar="YYYY-MM-DD", help="last day to judge")
    fill.add_argument("--workspace", help="name or resource id (default: all)")
    fill.add_argument("--incidents", action="store_true", help="open incidents for old findings")
    fill.add_argument("--yes", action="store_true", help="do not ask")
    fill.set_defaults(work=gap_commands.gap_fill)


def _add_drill(verbs: Verbs[argparse.ArgumentParser]) -> None:
    drill = _verb(
        verbs,
        "drill",
        "rebuild the ledger aside from results, exports and incidents, and tell what differs",
        "Of the deployment that TIDEHUNT_... settings in the environment name, else of the one "
        "that is served from the home. Exit code 1 when something differs.",
    )
    drill.add_argument("drill", choices=["rebuild-ledger"], help="the only one so far")
    drill.add_argument("--into", metavar="FOLDER", help="write the documents there, to look at")
    drill.add_argument(
        "--apply", action="store_true", help="write them into the ledger, which must be empty"
    )
    drill.set_defaults(work=drill_command.rebuild_ledger)


def _add_report(verbs: Verbs[argparse.ArgumentParser]) -> None:
    report = _verb(verbs, "report", "show what the last hunt found, and write report.html")
    report.add_argument("--json", action="store_true", help="print the document instead")
    report.add_argument("--output", metavar="FILE", help="write the page there")
    report.set_defaults(work=commands.report)


def _add_clean(verbs: Verbs[argparse.ArgumentParser]) -> None:
    clean = _verb(verbs, "clean", "delete the home: lake, ledger, incidents, everything")
    clean.add_argument("--all", action="store_true", help="every home below .tidehunt")
    clean.set_defaults(work=commands.clean)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    logging.raiseExceptions = False  # a log that cannot be written must not drown the message
    try:
        return int(options.work(options))
    except TidehuntError as error:
        print(f"tidehunt: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader went away (`tidehunt status | head`): nothing more to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            raise
        where = error.filename or options.home or "the disk"
        print(f"tidehunt: {unwritable(error, where)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        _say_how_to_go_on(sys.argv[1:] if arguments is None else arguments)
        return 130


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say_how_to_go_on(arguments: Sequence[str]) -> None:
    again = " ".join(["tidehunt", *arguments])
    print(
        f"\ninterrupted; nothing is lost. To go on where it stopped: {again}"
        "\nTo start over: tidehunt clean",
        file=sys.stderr,
    )


if __name__ == "__main__":
    sys.exit(main())
