"""The models: catalogue, architectures, weights, measured profiles and OpenVINO variants."""
