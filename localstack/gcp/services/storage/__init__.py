"""Cloud Storage: its JSON API, and of the XML API what the SDK's parallel uploads and downloads
speak. Objects are files.
"""
