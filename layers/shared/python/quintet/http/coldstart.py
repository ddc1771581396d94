"""The start of an API function: its handler imports this first."""

import quintet.coldstart  # isort: skip

from pydantic import BaseModel

# FastAPI imports these wherever they are found, for types we do not use: 110 ms.
quintet.coldstart.hide("email_validator", "pydantic.v1")

# It brings thirty models of OpenAPI that no request uses: 20 ms. They are built if the documentation is.
BaseModel.model_config["defer_build"] = True
import fastapi  # noqa: E402, F401

del BaseModel.model_config["defer_build"]
