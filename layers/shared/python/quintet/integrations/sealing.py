"""Secrets of integrations at rest: envelope encryption by a key of KMS that is for nothing else.

Each row has a data key of its own, made and opened by KMS, and AES-256-GCM seals the secrets with it (NIST SP 800-38D).
KMS and GCM are both told whose they are: what is moved to another row does not open there.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from quintet.aws import kms
from quintet.config import settings

_NONCE = 12  # bytes, as GCM wants it; a data key seals once


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is stored: columns of `integrations`."""

    sealed: bytes
    data_key: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class DataKey:
    """What the secrets of one integration are sealed with, once."""

    plain: bytes = field(repr=False)
    sealed: bytes
    key_id: str
    context: Mapping[str, str]

    def seal(self, secrets: Mapping[str, str]) -> Sealed:
        """Seal what is secret. Calls nobody, and so does not fail."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce, text = os.urandom(_NONCE), json.dumps(dict(secrets)).encode()
        return Sealed(
            nonce + AESGCM(self.plain).encrypt(nonce, text, _associated(self.context)), self.sealed, self.key_id
        )


def new_key(*, integration_id: UUID, user_id: UUID) -> DataKey:
    """A data key for somebody's integration. Calls KMS."""
    context, key_id = _context(integration_id, user_id), settings().sealing_key_id
    made = kms().generate_data_key(KeyId=key_id, KeySpec="AES_256", EncryptionContext=context)
    return DataKey(made["Plaintext"], made["CiphertextBlob"], key_id, context)


def seal(secrets: Mapping[str, str], *, integration_id: UUID, user_id: UUID) -> Sealed:
    """Seal what is secret of somebody's integration. Calls KMS."""
    return new_key(integration_id=integration_id, user_id=user_id).seal(secrets)


def unseal(row: Any, *, integration_id: UUID, user_id: UUID) -> dict[str, str]:
    """The secrets in a row that has the columns of `Sealed`. Calls KMS; raises when they are another integration's."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    context = _context(integration_id, user_id)
    data_key = kms().decrypt(KeyId=row.key_id, CiphertextBlob=bytes(row.data_key), EncryptionContext=context)
    sealed = bytes(row.sealed)
    text = AESGCM(data_key["Plaintext"]).decrypt(sealed[:_NONCE], sealed[_NONCE:], _associated(context))
    secrets: dict[str, str] = json.loads(text)
    return secrets


def _context(integration_id: UUID, user_id: UUID) -> dict[str, str]:
    return {"integration_id": str(integration_id), "user_id": str(user_id)}


def _associated(context: Mapping[str, str]) -> bytes:
    return json.dumps(context, sort_keys=True).encode()
