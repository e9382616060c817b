"""Training batches: segments of recordings, sentences, shard order and prefetching."""
