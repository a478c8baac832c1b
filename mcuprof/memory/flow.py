"""Maximum flow (Dinic 1970) in small integer networks, in plain Python: the least cut is all the room needs of it."""

from __future__ import annotations

from collections import deque

INFINITE = 1 << 62


class Network:
    """A directed network that grows by `connect`; node 0 is the source, node 1 the sink.

    `work` counts the arcs that `flow` may have looked at, so that effort can be counted without a clock.
    """

    SOURCE, SINK = 0, 1

    def __init__(self) -> None:
        self._arcs: list[list[int]] = [[], []]  # node → numbers of the arcs that leave it; arc ^ 1 is its reverse
        self._head: list[int] = []
        self._capacity: list[int] = []
        self.work = 0

    def node(self) -> int:
        """A new node."""
        self._arcs.append([])
        return len(self._arcs) - 1

    def connect(self, tail: int, head: int, capacity: int = INFINITE) -> None:
        """An arc from `tail` to `head`."""
        self._arcs[tail].append(len(self._head))
        self._arcs[head].append(len(self._head) + 1)
        self._head += (head, tail)
        self._capacity += (capacity, 0)

    def flow(self) -> int:
        """The value of a maximum flow, which is that of the least cut; uses up the capacities."""
        total = 0
        self.work = 2 * len(self._head)  # made, and seen once at the end
        while (level := self._levels())[self.SINK] >= 0:
            self.work += 2 * len(self._head)
            unused = [list(arcs) for arcs in self._arcs]
            while path := self._path(level, unused):
                amount = min(self._capacity[arc] for arc in path)
                for arc in path:
                    self._capacity[arc] -= amount
                    self._capacity[arc ^ 1] += amount
                total += amount
                self.work += 2 * len(path)
        return total

    def _levels(self) -> list[int]:
        level = [-1] * len(self._arcs)
        level[self.SOURCE] = 0
        queue = deque([self.SOURCE])
        while queue and level[self.SINK] < 0:
            node = queue.popleft()
            for arc in self._arcs[node]:
                head = self._head[arc]
                if level[head] < 0 and self._capacity[arc]:
                    level[head] = level[node] + 1
                    queue.append(head)
        return level

    def _path(self, level: list[int], unused: list[list[int]]) -> list[int]:
        """Arcs of one shortest augmenting path, dropping for good the arcs that lead nowhere in this level graph."""
        path: list[int] = []
        node = self.SOURCE
        while node != self.SINK:
            arcs = unused[node]
            while arcs and not (self._capacity[arcs[-1]] and level[self._head[arcs[-1]]] == level[node] + 1):
                arcs.pop()
            if arcs:
                path.append(arcs[-1])
                node = self._head[arcs[-1]]
            elif path:
                node = self._head[path.pop() ^ 1]
                unused[node].pop()
            else:
                return []
        return path
