"""One flat pair per hunt: `<id>.yaml` says what, `<id>.py` says how."""
