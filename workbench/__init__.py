"""One machine: an Azure to talk to, and the command line. Never deployed."""
