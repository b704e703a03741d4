"""Many runs: trends by commit, and where they change. `archive.read` and `lines.history` are the way in."""
