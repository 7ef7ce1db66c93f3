"""What tests share: simulated scenes, data sets and projects, and where the real data lie."""
