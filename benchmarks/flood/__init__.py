"""One bad threshold: a hunt finds ten million things, and the whole product has to bear it."""
