"""IAM authentication to RDS: a presigned `rds-db:connect` request is the password.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
"""

import os
from functools import lru_cache

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import get_session


def auth_token(host: str, port: int, user: str) -> str:
    """A password for `user`, valid for 15 minutes to open connections with.

    Signed here with the function's own credentials; a boto3 client would load the RDS service model for nothing.
    """
    request = AWSRequest("GET", f"https://{host}:{port}/", params={"Action": "connect", "DBUser": user})
    credentials = _credentials().get_frozen_credentials()
    SigV4QueryAuth(credentials, "rds-db", os.environ["AWS_REGION"], expires=900).add_auth(request)
    return str(request.url).removeprefix("https://")


@lru_cache(maxsize=1)
def _credentials() -> Credentials:
    """The function's own, renewed by botocore: from variables, or with SnapStart from the runtime's endpoint."""
    found = get_session().get_credentials()
    if found is None:
        raise RuntimeError("There are no AWS credentials to connect to the database with")
    return found
