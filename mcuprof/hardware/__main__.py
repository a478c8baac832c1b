"""`python -m mcuprof.hardware`: bring `index.csv` and `VERSION` in step with the files of `device_db/`."""

from mcuprof.hardware.database import database_path
from mcuprof.hardware.index import write

write(database_path())
