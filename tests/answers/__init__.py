"""Planted answers to the exercises, one module per lesson: RIGHT must pass, WRONG must fail with the mistake named."""
