"""How a cell runs: batches and trainers, pipelines, CUDA graphs, warm-up, and the rounds."""
