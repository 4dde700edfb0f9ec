"""The engine. Floors, each importing only lower ones: common, wire, store, {gcs, raylet, worker}, node."""
