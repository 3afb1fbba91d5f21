"""The HTTP service: experiments in, numbers and pictures out. Knows nothing of torch or of workers."""
