"""Two revisions measured in turns in child processes: `sittings.measure` writes one result file for each."""
