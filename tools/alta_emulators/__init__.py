"""Google's engines on this machine: the same gRPC services, types and limits, with other readers behind them."""
