"""The networks: one LSTM core, and what stands on it. They know torch and nothing of the pipeline."""
