"""How much of the GPU a cell used: `monitor` asks the driver, `capture` profiles, `trace` computes from the profile."""
