"""What `nets init` writes into another repository: files, the one line of its conftest.py, and what it refuses."""
