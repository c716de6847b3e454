"""What can be seen of the stages from outside, through Redis alone."""
