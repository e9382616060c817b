"""Training batches: segments of recordings, sentences, shards, prefetching."""
