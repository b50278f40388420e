"""The store of model files: fetches them, says what is in it, and removes what nobody needs.

A file's name is its sha256 and it comes into place whole. What is on its way is in the store's `incoming/` folder.
`plan`, `progress` and `references` decide and do no I/O; `hub` is the only module that knows huggingface_hub, which
the service itself never imports. `cli` is the command `cerebrum-models`.
"""
