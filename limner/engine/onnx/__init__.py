"""Networks in ONNX files of an operator's own, told by their headers and run on the processor."""
