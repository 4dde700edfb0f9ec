"""The parts of the dashboard, under the names at which Ray 2.60 has them."""
