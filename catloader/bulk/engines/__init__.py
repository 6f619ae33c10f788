"""The engines that run a plan (this machine, or Ray), and the work on one unit from fetch to result."""
