"""The cluster's HTTP face on its head: jobs, state, health. Started by the first connection to its port."""
