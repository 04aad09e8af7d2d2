"""The control plane. A map of the house, in the order a blob on its way to an incident sees it:

function_app.py   (above this package) binds the triggers
bootstrap         settings -> real adapters, once a process
control_loop      one turn at a time: observe, decide, save, act
marks             what an event leaves behind, until it is folded
intake            marks and listings -> what each day of each table holds
gaps              slots that nobody judged, and why
schedule          what changed + the clock -> runs that are due
runs              the two state machines: run and job
grouping          runs that are due -> the jobs they share
jobs              a job -> its plan, its one POST, watched to its end
pools             the pause, the pool's breaker: may a job go out?
spend             what a job may cost, reserved before it is there
copies            what a job copied and merged -> the days (merges: which folders count)
delivery          findings -> requests within limits
refusals          refused rows: are they to blame, or is the sink
delivered         what a run delivered, for the revision after it
set_aside         where refused rows lie, with their reasons
deliveries        a run's results -> the findings table, its incidents, the read-back
incidents         case + findings + what Sentinel holds -> create, update, stay quiet
health            heartbeats, ended runs and alarms -> the health table; what could not be told yet
alarms            what stands still or is silent; arrivals counts what comes, health_rows words it
requests          what HTTP asks for
fills, estimates  gaps that somebody wants filled, and what that costs
backfill          a fill, a turn at a time -> runs behind the live ones
classes           what each class of runs may take
records           the ledger's documents and where they lie; bookkeeping: what is noted for itself
log_lines         what it logs, a JSON line a record
archive           what was done long ago, one file a month
quarantine        documents that cannot be used
rebuild           a lost ledger, told again (remains, rebuild_cases)
hunt_specs, settings, errors, model, messages, queries, ports, contract
adapters          one file a service
"""

__version__ = "0.1.0"
