"""Building runtime environments: packages, plug-ins, the node's agent, and the launch of workers."""
