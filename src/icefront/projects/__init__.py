"""What a run over many glaciers keeps: scene files, catalogue, workers, results, review."""
