"""The deployed app: binds triggers, parses, calls `shared`. No rules live here."""

import os
from functools import partial

import azure.functions as func

from shared import bootstrap, control_loop, events, http_routes
from shared.adapters import functions_http
from shared.adapters.eventgrid import payload_of, storage_event

app = func.FunctionApp()
functions_http.bind(
    app,
    bootstrap.http_guard(os.environ),
    http_routes.PATHS,
    partial(http_routes.answer, bootstrap.deployment),
)


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
    bootstrap.clear_up()


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  the host binds it by name
    """Alive, and are the settings usable; no data."""
    return functions_http.response(*bootstrap.health(os.environ))
