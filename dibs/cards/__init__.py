"""Cards: the TOML files that say what a task, a model or a reranker is. A card says what; code says how."""
