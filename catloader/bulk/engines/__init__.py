"""The engines that work on a plan: one machine, or Ray; what one unit needs from fetch to result."""
