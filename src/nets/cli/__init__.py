"""The nets command: one file a command, app.main is the way in."""
