"""What the bucket of files tells browsers and queues, the same on AWS and on one machine. No AWS here."""

ANNOUNCED = "s3:ObjectCreated:*"
"""The events, of objects under `quintet.files.objects.UPLOADS`, that the queue `uploads` hears of."""

BROWSER_METHODS = ("GET", "HEAD", "POST", "PUT")
"""The front ends upload to, and download from, presigned links."""

BROWSER_SEES = ("ETag", "x-amz-version-id", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha256")
"""Response headers a front end may read."""

BROWSER_REMEMBERS = 3600
"""Seconds for which it need not ask again."""
