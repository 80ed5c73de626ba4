"""The errors that a store raises, for callers that do not know its engine."""

from __future__ import annotations

import apsw

from actors.storage.damage import DamagedStore as DamagedStore
from actors.storage.migrations import NewerStore as NewerStore
from actors.storage.migrations import StoreError as StoreError

STORE_ERRORS = (apsw.Error, StoreError, DamagedStore)
