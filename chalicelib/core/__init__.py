"""The counting engine: rules without AWS, HTTP or any other I/O."""
