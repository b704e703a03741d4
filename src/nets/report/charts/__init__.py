"""The charts of a report, a file each: records -> `Chart`s, or nothing where there is nothing to show; pure.

A run: `depth`, `curves`, `rounds`, `cost`, `bands`, `gpu`, `kernels`, `confusion`, `harness`. Two runs: `compared`.
Many: `history`. `marks` has what all of them are made of, `style` how things look; `report.drawing` draws them.
"""
