"""Finds out what a model's file is before the service depends on it.

`header` reads the facts and refuses what is damaged or hostile; `inspection` lets llama.cpp itself try the file, in a
child process (`child`) that is confined (`sandbox`) and may die without harm.
"""
