"""The lowest floor: ids, settings, resources, and the schema of every message. Imports nothing of ray."""
