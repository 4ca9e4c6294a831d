"""The formats in which a sorter can lie on disk: a module each, with `find` and `load`; model.py lists them.

Nothing that a file brings is run. What is a Keras description becomes the plain layers of graph.py, so that equal
networks hash alike whatever format they came in; a .tflite file is checked operator by operator and run whole.
"""
