"""The only boto3: the object store's client and the embedded SeaweedFS server."""
