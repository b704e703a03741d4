"""Many runs: trends by commit, and where they change. archive.read_archive and series.history are the way in."""
