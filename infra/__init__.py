"""What is around the functions: the contract, nested stacks and the release."""
