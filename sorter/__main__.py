"""python -m sorter"""

from sorter.cli import main

main()
