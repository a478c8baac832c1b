"""Floor 3: less memory by running regions of the graph stripe by stripe, through ordinary operators, bit for bit.

rows.py      which rows a stripe needs, makes, and makes right
regions.py   which runs of operators can be cut
stripes.py   what the stripes of a region hold, cost and keep in memory
options.py   the ways to split one region that are worth knowing
groups.py    the ways to run a region some channels at a time
search.py    which regions to split together: the front of arena and work
emit.py      the rewritten graph, and how its tensors lie on one another
proof.py     that it computes what the original does, row by row (channel groups: proof_groups.py)
"""

from mcuprof.rewrites.split.emit import Split, split
from mcuprof.rewrites.split.groups import group_options
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
    "group_options",
    "options",
    "prove",
    "split",
    "turned",
]
