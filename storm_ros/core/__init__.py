"""Types, configuration and the closed loop; numpy and scipy only."""
