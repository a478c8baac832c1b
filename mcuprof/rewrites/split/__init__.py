"""Floor 3: less memory by running regions of the graph stripe by stripe, through ordinary operators, bit for bit.

rows.py      which rows a stripe needs, makes, and makes right
regions.py   which runs of operators can be cut
stripes.py   what the stripes of a region hold, cost and keep in memory
options.py   the ways to split one region that are worth knowing
search.py    which regions to split together: the front of arena and work
emit.py      the rewritten graph, and how its tensors lie on one another
proof.py     that it computes what the original does, row by row
"""

from mcuprof.rewrites.split.emit import Split, split
from mcuprof.rewrites.split.options import Option, Tariff, options, turned
from mcuprof.rewrites.split.proof import prove
from mcuprof.rewrites.split.regions import Outline, Region
from mcuprof.rewrites.split.search import FINE, Choice, front

__all__ = [
    "FINE",
    "Choice",
    "Option",
    "Outline",
    "Region",
    "Split",
    "Tariff",
    "front",
    "options",
    "prove",
    "split",
    "turned",
]
