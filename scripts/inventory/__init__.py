"""`make new-inventory`: asks what a site is made of and writes its inventory.

`answers` says what is accepted, `questions` in which order it is asked, `text` what the files say. `asking` talks to
the terminal, `vault` encrypts, `place` writes, `__main__` joins them.
"""
