"""What the store raises, for those who may not know by what it is kept."""

from __future__ import annotations

import apsw

from actors.storage.damage import DamagedStore as DamagedStore
from actors.storage.migrations import NewerStore as NewerStore
from actors.storage.migrations import StoreError as StoreError

STORE_ERRORS = (apsw.Error, StoreError, DamagedStore)
