"""The suite's face to pytest."""

pytest_plugins = ["nets.plugin"]
