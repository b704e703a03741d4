"""How much of the GPU a cell used: the driver's figures, and those of a profiler trace."""
