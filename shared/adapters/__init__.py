"""One adapter per service; vendor exceptions end here."""
