"""Values as bytes (`serialization`), and the shared memory in which large ones lie (`arena`)."""
