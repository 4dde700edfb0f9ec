"""`ray.internal`: empty, as in Ray since `free` went."""
