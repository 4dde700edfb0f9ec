"""Names that Ray's libraries and third parties share: not public, but imported."""
