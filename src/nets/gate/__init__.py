"""Base against head: has anything regressed? judge.judge_runs is the way in."""
