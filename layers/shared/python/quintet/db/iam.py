"""IAM authentication to RDS: a presigned `rds-db:connect` request is the password.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
"""

import os

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def auth_token(host: str, port: int, user: str) -> str:
    """A password for `user`, valid for 15 minutes to open connections with.

    Signed locally with the function's own credentials from its environment; a full boto3 client would
    cost the cold start the loading of the RDS service model.
    """
    credentials = Credentials(
        os.environ["AWS_ACCESS_KEY_ID"],
        os.environ["AWS_SECRET_ACCESS_KEY"],
        os.environ.get("AWS_SESSION_TOKEN"),
    )
    request = AWSRequest("GET", f"https://{host}:{port}/", params={"Action": "connect", "DBUser": user})
    SigV4QueryAuth(credentials, "rds-db", os.environ["AWS_REGION"], expires=900).add_auth(request)
    return str(request.url).removeprefix("https://")
