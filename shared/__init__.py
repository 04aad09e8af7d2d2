"""The control plane. A map of the house, in the order a blob on its way to an incident sees it:

function_app.py   (above this package) binds the triggers
bootstrap         settings -> real adapters, once a process
control_loop      one turn at a time: observe, decide, save, act
intake            marks and listings -> what each day of each table holds
schedule          what changed + the clock -> runs that are due
runs              the two state machines: run and job
jobs              runs that are due -> a plan -> one Spark job, watched to its end
delivery          findings -> requests within limits
deliveries        a run's results -> the findings table, its incidents, the read-back
incidents         case + findings + what Sentinel holds -> create, update, stay quiet
requests          what HTTP asks for
records           the ledger's documents and where they lie
archive           what was done long ago, one file a month
quarantine        documents that cannot be used
rebuild           a lost ledger, told again (remains, rebuild_cases)
hunt_specs, settings, errors, model, messages, queries, ports, contract
adapters          one file a service
"""

__version__ = "0.1.0"
