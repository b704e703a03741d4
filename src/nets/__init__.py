"""Train and evaluate small networks, and say what each costs.

Importing the package sets OpenMP's wait policy to PASSIVE (unless the caller chose one) and the number of
CPU threads is chosen later, in `nets.machine`. Both are recorded with every result: a spinning thread pool
ruins the timing of everything else on the machine.
"""

from nets.machine import choose_wait_policy

__version__ = "0.1.0"

choose_wait_policy()
