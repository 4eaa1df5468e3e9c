"""Other people's layouts and files, in and out: one module per family of formats, with entries in `registry.formats`.

Readers and writers of files of other tools belong here; the files of this project are in `runs`.
"""
