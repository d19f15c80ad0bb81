"""The papers' tables and figures, on data that anyone has."""
