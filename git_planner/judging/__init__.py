"""The guard's judgement on commits and on moves of refs, the same for hooks, commands and servers."""
