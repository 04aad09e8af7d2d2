"""What reading, copying and hunting cost: ratios of two things measured in one run."""
