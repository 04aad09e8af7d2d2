"""The data plane: runs inside a Spark job, published as one zip with shared/contract.py."""
