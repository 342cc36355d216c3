"""Turn a recipe into finished mixes: the only floor that knows every stage."""
