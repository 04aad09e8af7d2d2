"""A small Azure Functions host for one machine, over the public azure.functions API."""
