"""Pictures that a model drew, judged by the user's own sorters: is what was asked for what is seen?

The only part of the trainer that looks at pictures as the sorter does.
"""
