"""`python -m nets` is the command `nets`."""

from nets.cli.app import main

if __name__ == "__main__":
    main()
