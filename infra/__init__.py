"""What stands around the functions: contract, nested stacks and the stack on one machine."""
