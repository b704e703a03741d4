"""Base against head: has anything regressed? `judge.gate` is the way in; pure but for `runs` and `config`."""
