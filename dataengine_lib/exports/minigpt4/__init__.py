"""The data set for MiniGPT-4 as MLLM-DataEngine v1 loads it, and its place in a checkout of that trainer."""
