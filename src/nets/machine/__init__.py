"""This computer: its CPU, the device that networks run on, its GPUs through the driver."""
