"""Train and evaluate small networks, and say what each costs.

Importing the package sets how long OpenMP's threads spin (unless the caller chose), and the number of CPU threads
is chosen later, by the pipeline. Both are recorded with every result: a spinning thread pool ruins the timing of
everything else on the machine.
"""

from nets.machine.cpu import choose_wait_policy

choose_wait_policy()

from nets.cells.registry import network  # noqa: E402  # it must come before anything that may load torch

__all__ = ["network"]
__version__ = "0.1.0"
