"""Countless: three counting APIs over one log of events."""
