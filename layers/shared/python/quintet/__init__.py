"""What two or more functions of Quintet use, and nothing else."""
