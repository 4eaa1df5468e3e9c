"""What trains them: data, mixture, loop, stages."""
