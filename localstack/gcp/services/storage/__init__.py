"""Cloud Storage: its JSON API, and part of the XML API. Objects are files.

Of the XML API, it is what the SDK's parallel uploads and downloads use.
"""
