"""Making artifacts: PyTorch to ONNX and TFLite, and the user's own files. Runs in a worker (`models.export.worker`)."""
