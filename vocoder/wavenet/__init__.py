"""The WaveNet: modules, conditioning, output distributions and the parallel forward."""
