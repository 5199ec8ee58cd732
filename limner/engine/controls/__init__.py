"""Controls: ControlNets and T2I-Adapters, read from files, and added row by row to a UNet."""
