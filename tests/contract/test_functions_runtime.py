"""Our functions host beside its witness, Microsoft's execution engine, over the same apps.

The engine declares Python 3.13 and runs on 3.11 all the same. It is fetched once into pytest's
cache and never into the environment under test.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.sources import outside
from tests.system.functions_process import HEAD, KEY, Running, running, write_app

ENGINE = ("azure-functions-runtime==1.3.0", "azurefunctions-extensions-base==1.2.0")
WITNESS = Path(__file__).with_name("functions_runtime_witness.py")
ROOT = Path(__file__).parents[2]
APP_LINE = "app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)\n"
Json = dict[str, Any]

APP = (
    HEAD
    + APP_LINE
    + """
def note(**what):
    with open(os.environ["SEEN"], "a") as file:
        file.write(json.dumps(what, default=str) + "\\n")

@app.route(route="echo/{id}", methods=["GET", "POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    body = {"method": req.method, "url": req.url, "params": dict(req.params),
            "route": dict(req.route_params), "header": req.headers.get("X-Asked"),
            "body": req.get_body().decode()}
    if req.get_body():
        body["json"] = req.get_json()
    return func.HttpResponse(json.dumps(body), status_code=201, mimetype="application/json",
                             headers={"X-Answer": "42"})

@app.function_name("plain")
@app.route()
async def plainly(req: func.HttpRequest, context) -> str:
    return f"{context.function_name} {req.route_params}"

@app.route()
def empty(req):
    return func.HttpResponse(status_code=204)

@app.route(route="none")
def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return None

@app.event_grid_trigger(arg_name="event")
def taken(event: func.EventGridEvent) -> None:
    cloud = isinstance(event, func.CloudEvent)
    note(cls=type(event).__name__, id=event.id, subject=event.subject,
         kind=event.type if cloud else event.event_type,
         at=event.time if cloud else event.event_time,
         data=event.get_json())
    if event.subject == "poison":
        raise RuntimeError("cannot take it")

@app.event_grid_trigger(arg_name="event")
def chatty(event: func.CloudEvent):
    return "a value that nothing takes"

@app.timer_trigger(arg_name="timer", schedule="%BEAT%", run_on_startup=False, use_monitor=True)
def tick(timer: func.TimerRequest) -> None:
    note(late=timer.past_due)
"""
)

EVENT_TIME = "2025-01-02T03:04:05.1234567Z"
GRID_EVENT = {
    "id": "1",
    "topic": "/t",
    "subject": "/blobServices/default/containers/results/blobs/x/manifest.json",
    "eventType": "Microsoft.Storage.BlobCreated",
    "eventTime": EVENT_TIME,
    "data": {"api": "PutBlob"},
    "dataVersion": "",
    "metadataVersion": "1",
}
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/s",
    "subject": "/blobServices/default/containers/am-x/blobs/PT05M.json",
    "type": "Microsoft.Storage.BlobCreated",
    "time": EVENT_TIME,
    "data": {"api": "PutBlob"},
    "ours": "an extension attribute",
}

LOADABLE = {
    "postponed annotations": "@app.route()\ndef f(req: 'func.HttpRequest') -> 'str': ...",
    "context": "@app.route()\ndef f(req, context: func.Context): ...",
    "blueprint": ("b = func.Blueprint()\n@b.route()\ndef f(req): ...\napp.register_functions(b)"),
    "a schedule that does not resolve": (
        "@app.timer_trigger(arg_name='t', schedule='%NOWHERE%')\ndef f(t): ..."
    ),
}
UNLOADABLE = {
    "missing module": "import nothing_of_that_name",
    "second app": "other = func.FunctionApp()",
    "unknown parameter": "@app.route()\ndef f(req, other): ...",
    "parameter missing": "@app.route()\ndef f(): ...",
    "union of events": (
        "@app.event_grid_trigger(arg_name='e')\n"
        "def f(e: func.EventGridEvent | func.CloudEvent) -> None: ..."
    ),
    "wrong annotation": "@app.event_grid_trigger(arg_name='e')\ndef f(e: func.HttpRequest): ...",
    "unknown annotation": "@app.route()\ndef f(req: 'Nothing'): ...",
    "wrong return": "@app.route()\ndef f(req) -> None: ...",
    "wrong context": "@app.route()\ndef f(req, context: int): ...",
    "one name twice": "@app.route()\ndef f(req): ...\n@app.route()\ndef f(req): ...",
    "two triggers": (
        "@app.route()\n@app.timer_trigger(arg_name='t', schedule='* * * * * *')\ndef f(req, t): ..."
    ),
    "no trigger": "@app.function_name('f')\ndef f(req): ...",
}


@pytest.fixture(scope="session")
def engine(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the engine, installed once per pinned versions."""
    cache = pytestconfig.cache
    shelf = cache.mkdir("functions-runtime") if cache else tmp_path_factory.mktemp("runtime")
    folder = shelf / "-".join(name.replace("==", "-") for name in ENGINE)
    if folder.exists():
        return folder
    draft = tmp_path_factory.mktemp("install", numbered=True) / "engine"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--retries", "5"]
    pip += ["--ignore-requires-python", "--target", str(draft), *ENGINE]
    done = subprocess.run(
        pip, capture_output=True, text=True, timeout=300, check=False, env=outside()
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        pytest.skip(f"cannot install {ENGINE[0]}: {reason}")
    shutil.move(draft, folder)
    return folder


def witness(engine: Path, app: Path, settings: dict[str, str], **question: Sequence[Json]) -> Json:
    """What the engine answers, run in a process of its own."""
    env = os.environ | settings | {"PYTHONPATH": str(engine), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(WITNESS)],
        input=json.dumps({"app": str(app)} | question),
        env=env,
        cwd=app,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: Json = json.loads(done.stdout.splitlines()[-1])
    return answers


def functions_of(ours: Running) -> Json:
    return {f["name"]: f["config"]["bindings"] for f in ours.admin("/admin/functions")}


def send(ours: Running, name: str, event: Json) -> int:
    hook = f"/runtime/webhooks/EventGrid?functionName={name}&code={KEY}"
    return ours.post(hook, headers={"aeg-event-type": "Notification"}, json=event).status_code


def asked(ours: Running, function: str, path: str, params: Json, body: str = "") -> Json:
    """One request as the platform hands it to the engine."""
    return {
        "function": function,
        "method": "POST" if body else "GET",
        "url": ours.url + path,
        "headers": {"x-asked": "why"},
        "query": dict(parse_qsl(urlsplit(path).query)),
        "params": params,
        "body": body,
    }


def ask_ours(ours: Running, request: Json) -> Json:
    """The same request to our host; a failure as the engine words it."""
    answer = httpx.request(
        request["method"],
        request["url"],
        headers=request["headers"],
        content=request["body"],
        timeout=60,
    )
    if answer.status_code == 500 and not answer.content:
        return {"error": ours.tally(request["function"])["last_error"]}
    headers = {k: v for k, v in answer.headers.items() if k not in ("date", "content-length")}
    return {"status": answer.status_code, "headers": headers, "body": answer.text}


def test_the_same_functions_requests_and_events_give_the_same_answers(
    engine: Path, tmp_path: Path
) -> None:
    app = write_app(tmp_path / "app", APP)
    settings = {"BEAT": "0 0 5 29 2 *"}
    notes = {side: tmp_path / f"{side}.jsonl" for side in ("ours", "theirs")}
    events: list[Json] = [
        {"function": function, "event": event}
        for function in ("taken", "chatty")
        for event in (GRID_EVENT, CLOUD_EVENT, CLOUD_EVENT | {"subject": "poison"})
    ]
    with running(app, **settings, SEEN=str(notes["ours"])) as ours:
        requests = [
            asked(ours, "echo", "/api/echo/7?x=1&y=a%20b", {"id": "7"}),
            asked(ours, "echo", "/api/echo/a%20b", {"id": "a b"}, '{"deep": [1, "é"]}'),
            asked(ours, "echo", "/api/echo/7", {"id": "7"}, "{not json"),
            asked(ours, "empty", "/api/empty", {}),
            asked(ours, "nothing", "/api/none", {}),
        ]
        functions = functions_of(ours)
        our_answers = [ask_ours(ours, request) for request in requests]
        our_plain = ask_ours(ours, asked(ours, "plain", "/api/plain", {}))
        our_events = [send(ours, sent["function"], sent["event"]) for sent in events]
        requests.append(asked(ours, "plain", "/api/plain", {}))
    sent = [one | {"event": json.dumps(one["event"])} for one in events]
    theirs = witness(
        engine,
        app,
        settings | {"SEEN": str(notes["theirs"])},
        http=requests,
        events=sent,
    )
    assert theirs["functions"] == functions
    *their_answers, their_plain = theirs["http"]
    for our, their in zip(our_answers, their_answers, strict=True):
        assert first_words(our) == first_words(their)
    # The host, not the engine, gives a returned string its content type.
    assert (our_plain["status"], our_plain["body"]) == (their_plain["status"], their_plain["body"])
    assert our_events == [500 if their["error"] else 202 for their in theirs["events"]]
    assert our_events == [202, 202, 500, 500, 500, 500]
    assert notes["ours"].read_text() == notes["theirs"].read_text()
    assert len(notes["ours"].read_text().splitlines()) == 3


def first_words(answer: Json) -> Json:
    """Both sides name the same exception; the engine words its own messages differently."""
    return {"error": answer["error"].split(":")[0]} if "error" in answer else answer


@pytest.mark.parametrize("case", [*LOADABLE, *UNLOADABLE])
def test_the_same_apps_can_be_loaded(engine: Path, tmp_path: Path, case: str) -> None:
    code = HEAD + APP_LINE + (LOADABLE | UNLOADABLE)[case] + "\n"
    app = write_app(tmp_path / "app", code)
    theirs = witness(engine, app, {})
    with running(app) as ours:
        status, functions = ours.admin("/admin/host/status"), functions_of(ours)
    assert bool(theirs["error"]) == bool(status["errors"]) == (case in UNLOADABLE)
    refused = set(status["functionErrors"])
    assert set(theirs["functions"]) == set(functions) | refused


@pytest.mark.skipif(not (ROOT / "function_app.py").exists(), reason="no function_app.py yet")
def test_the_real_app_is_the_same_in_both(engine: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    for name in ("shared", "spark"):
        shutil.copytree(ROOT / name, app / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("function_app.py", "host.json"):
        shutil.copy(ROOT / name, app / name)
    settings = {"TIDEHUNT_TICK_SCHEDULE": "0 0 5 29 2 *"}
    with running(app, **settings) as ours:
        functions, status = functions_of(ours), ours.admin("/admin/host/status")
        request = asked(ours, "health", "/api/health", {})
        our_health = ask_ours(ours, request)
        event = {"function": "export_blob_created", "event": CLOUD_EVENT}
        our_status = send(ours, "export_blob_created", CLOUD_EVENT)
    event["event"] = json.dumps(CLOUD_EVENT)
    theirs = witness(engine, app, settings, http=[request], events=[event])
    assert (status["errors"], status["functionErrors"]) == ([], {})
    assert theirs["functions"] == functions
    assert first_words(theirs["http"][0]) == first_words(our_health)
    assert our_status == (500 if theirs["events"][0]["error"] else 202)
