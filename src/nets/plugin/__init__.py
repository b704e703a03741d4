"""The pytest plug-in: `pytest_plugins = ["nets.plugin"]` gives a repository its options, hooks and fixtures."""

pytest_plugins = ["nets.plugin.hooks", "nets.plugin.fixtures"]
