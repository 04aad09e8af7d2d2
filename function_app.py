"""The deployed app: binds triggers, parses, calls `shared`. No rules live here."""

import os
from typing import Any

import azure.functions as func

from shared import bootstrap, control_loop, events, http_api
from shared.adapters.eventgrid import payload_of, storage_event

app = func.FunctionApp()
GUARDED = bootstrap.http_guard(os.environ)


@app.event_grid_trigger(arg_name="event")
def export_blob_created(event: func.EventGridEvent) -> None:
    """An export blob landed: mark its hour."""
    events.export_blob_created(bootstrap.deployment(), storage_event(payload_of(event)))


@app.event_grid_trigger(arg_name="event")
def result_created(event: func.EventGridEvent) -> None:
    """A run's manifest landed: deliver it."""
    events.result_created(bootstrap.deployment(), storage_event(payload_of(event)))


@app.timer_trigger(arg_name="timer", schedule="%TIDEHUNT_TICK_SCHEDULE%", use_monitor=False)
def tick(timer: func.TimerRequest) -> None:  # noqa: ARG001  the host binds it by name
    """A turn."""
    control_loop.take_turn(bootstrap.deployment())


@app.route("status", methods=["GET"], auth_level=GUARDED)
def status(req: func.HttpRequest) -> func.HttpResponse:
    """What runs, what waits, what ended last."""
    return _answer(req, "status", http_api.status)


@app.route("runs/{id}", methods=["GET"], auth_level=GUARDED)
def show_run(req: func.HttpRequest) -> func.HttpResponse:
    """One run."""
    return _answer(req, "show_run", lambda house: http_api.show_run(house, req.route_params["id"]))


@app.route("runs", methods=["POST"], auth_level=GUARDED)
def start_run(req: func.HttpRequest) -> func.HttpResponse:
    """Ask for an ad-hoc run."""
    return _answer(req, "start_run", lambda house: http_api.start_run(house, req.get_body()))


@app.route("runs/{id}/{change}", methods=["POST"], auth_level=GUARDED)
def change_run(req: func.HttpRequest) -> func.HttpResponse:
    """Ask a run to stop, to go on, or to be done again."""
    named = req.route_params["id"], req.route_params["change"], req.get_body()
    return _answer(req, "change_run", lambda house: http_api.change_run(house, *named))


@app.route("pause", methods=["POST"], auth_level=GUARDED)
def pause(req: func.HttpRequest) -> func.HttpResponse:
    """Let nothing new start."""
    asked = dict(req.headers), req.get_body()
    return _answer(req, "pause", lambda house: http_api.pause(house, "pause", *asked))


@app.route("resume", methods=["POST"], auth_level=GUARDED)
def resume(req: func.HttpRequest) -> func.HttpResponse:
    """Let new things start again."""
    asked = dict(req.headers), req.get_body()
    return _answer(req, "resume", lambda house: http_api.pause(house, "resume", *asked))


@app.route("gaps", methods=["GET"], auth_level=GUARDED)
def list_gaps(req: func.HttpRequest) -> func.HttpResponse:
    """What nobody judged, and why."""
    return _answer(req, "list_gaps", http_api.list_gaps)


@app.route("gaps/fill", methods=["POST"], auth_level=GUARDED)
def fill_gaps(req: func.HttpRequest) -> func.HttpResponse:
    """Ask for runs of what nobody judged."""
    return _answer(req, "fill_gaps", lambda house: http_api.fill_gaps(house, req.get_body()))


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  the host binds it by name
    """Alive, and are the settings usable; no data."""
    return _response(*bootstrap.health(os.environ))


def _answer(req: func.HttpRequest, name: str, work: Any) -> func.HttpResponse:
    role = http_api.ROUTE_ROLES[name]
    return _response(*http_api.answer(bootstrap.deployment, dict(req.headers), role, work))


def _response(code: int, body: Any) -> func.HttpResponse:
    return func.HttpResponse(http_api.encode(body), status_code=code, mimetype="application/json")
