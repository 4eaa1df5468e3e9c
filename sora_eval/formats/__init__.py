"""Other people's layouts and files, in and out: a module per family of formats, its entries in `registry.formats`.

What reads or writes a file that another tool has made or expects belongs here; what this project leaves behind is in `runs`.
"""
