"""`python -m alta_stack COMMAND`."""

from alta_stack.cli import main

if __name__ == "__main__":
    main()
