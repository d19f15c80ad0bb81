"""How good bodies are: test sets, protocols, runs, and the papers' tables."""
