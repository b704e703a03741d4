"""Records as text: one file for each kind of report, and what they share in `document` and `text`."""
