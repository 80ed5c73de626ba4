"""What the store raises, for those who may not know by what it is kept."""

from __future__ import annotations

import apsw

from actors.storage.damage import DamagedStore
from actors.storage.schema import StoreError

STORE_ERRORS = (apsw.Error, StoreError, DamagedStore)
