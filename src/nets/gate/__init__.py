"""Has anything regressed from base to head? `judge.judge_runs` compares two runs and returns a `Gate`."""
