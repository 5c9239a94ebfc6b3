"""The paper's experiment as a program: worlds, arms, trials, and their results. See docs/experiment.md."""
