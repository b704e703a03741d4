"""Base and head measured in turns on this machine: a process a side, a round of each, then the next."""
