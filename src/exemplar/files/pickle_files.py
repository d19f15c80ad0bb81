"""Pickles of plain data, read without running code from them.

Human-body files are often pickles, many written by Python 2. Reading one has two steps. The first
follows the pickle and makes nothing but lists, dicts, tuples, texts, numbers and inert `Node`s for
whatever the file wants to call or build. The second makes arrays of the nodes it knows, each
checked against the bytes that are there. No name of a file is ever imported or called.
"""

import math
import pickle
import re
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exemplar.files.file_budget import Budget

_DEEPEST = 32
"""Containers within containers; what holds itself has no end."""

_MOST_DIMENSIONS = 32

_DTYPE = re.compile(r"[<>|=]?([?]|b1|[iu][1248]|f(2|4|8|16)|c(8|16|32)|[SUa]\d{0,8}|O[48]?)")

_KEYS = (str, bytes, int, float, bool, type(None))


class Name:
    """A module's name that a pickle asks for."""

    __slots__ = ("key",)

    def __init__(self, module: str, name: str) -> None:
        self.key = (module, name)


class Node:
    """What a pickle calls or builds: a name, its arguments, and the state that was set."""

    __slots__ = ("args", "key", "state")

    def __init__(self, key: tuple[str, str], args: tuple[Any, ...]) -> None:
        self.key, self.args, self.state = key, args, None


STORAGE = ("torch", "storage")
"""What nodes of torch's tensors' numbers are called: they are not in the pickle itself."""

OTHERS = ("", "")
"""Among the known names: all others are passed over, and None stands for what is made of them."""


_Unpickler: Any = vars(pickle)["_Unpickler"]
"""The one that is written in Python: in the other an opcode's number alone can take memory."""


_AS_USUAL = b"".join(
    getattr(pickle, operation)
    for operation in (
        *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "NONE", "NEWTRUE"),
        *("NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT"),
        *("BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
        *("BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "TUPLE"),
        *("EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "LIST", "GLOBAL", "BINPUT"),
        *("LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET", "BINPERSID"),
    )
)
"""Opcodes of plain values, the stack and the memo."""


class _Reader(_Unpickler):
    """Follows a pickle, and makes plain containers and nodes."""

    def __init__(self, stream: BytesIO, known: "Names", budget: Budget) -> None:
        super().__init__(stream, encoding="latin1")
        self._known, self._budget = known, budget

    def find_class(self, module: str, name: str) -> Name:
        if (module, name) not in self._known and OTHERS not in self._known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return Name(module, name)

    def persistent_load(self, pid: Any) -> Node:
        if STORAGE not in self._known or not isinstance(pid, tuple):
            raise pickle.UnpicklingError("it asks for objects of other files")
        _of(pid[2], str)  # it will be hashed
        return Node(STORAGE, pid)

    def _container(self, made: Any) -> None:
        self._budget.take(64)
        self.append(made)

    def _list(self) -> None:
        self._container([])

    def _dict(self) -> None:
        self._container({})

    def _marked_dict(self) -> None:
        items = self.pop_mark()
        self._dict()
        _set_items(self.stack[-1], items)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _set_items(self.stack[-1], [key, value])

    def _set_many(self) -> None:
        items = self.pop_mark()
        _set_items(self.stack[-1], items)

    def _append(self) -> None:
        value = self.stack.pop()
        _extend(self.stack[-1], [value])

    def _append_many(self) -> None:
        items = self.pop_mark()
        _extend(self.stack[-1], items)

    def _call(self) -> None:
        args, name = _of(self.stack.pop(), tuple), _of(self.stack.pop(), Name)
        self.append(_called(name, args))

    def _new(self) -> None:
        args, name = _of(self.stack.pop(), tuple), _of(self.stack.pop(), Name)
        self._container(Node(name.key, args))

    def _set_state(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if not isinstance(made, dict):  # attributes of an OrderedDict are of no use
            _of(made, Node).state = state

    def _byte_array(self) -> None:
        (size,) = np.frombuffer(self.read(8), "<u8").tolist()
        self.append(self.read(size))

    def _put(self) -> None:
        place = int(self.readline()[:-1])
        if not _is_key(place):
            raise pickle.UnpicklingError("it remembers something under no number")
        self.memo[place] = self.stack[-1]

    def _global(self) -> None:
        name, module = _of(self.stack.pop(), str), _of(self.stack.pop(), str)
        self.append(self.find_class(module, name))

    dispatch = {code: _Unpickler.dispatch[code] for code in _AS_USUAL} | {
        code[0]: handler
        for code, handler in (
            (pickle.EMPTY_LIST, _list),
            (pickle.EMPTY_DICT, _dict),
            (pickle.DICT, _marked_dict),
            (pickle.SETITEM, _set_item),
            (pickle.SETITEMS, _set_many),
            (pickle.APPEND, _append),
            (pickle.APPENDS, _append_many),
            (pickle.REDUCE, _call),
            (pickle.NEWOBJ, _new),
            (pickle.BUILD, _set_state),
            (pickle.BYTEARRAY8, _byte_array),
            (pickle.PUT, _put),
            (pickle.STACK_GLOBAL, _global),
        )
    }  # fmt: skip


_ORDERED = ("collections", "OrderedDict")


def _called(name: Name, args: tuple[Any, ...]) -> Any:
    if name.key == _ORDERED:
        made: dict[Any, Any] = {}
        for pair in _of(args[0], list) if args else []:
            _set_items(made, pair)
        return made
    if name.key[1] == "_reconstructor":
        return Node(_of(args[0], Name).key, ())
    return Node(name.key, args)


def _set_items(into: Any, items: Any) -> None:
    """Keys and values in turn. Only simple keys: hashing a deep one would end the process."""
    for key, value in zip(items[::2], items[1::2], strict=True):
        parts = key if isinstance(key, tuple) else (key,)
        if not all(map(_is_key, parts)):
            raise pickle.UnpicklingError(f"a dict has a {type(key).__name__} for a key")
        if not isinstance(into, Node):  # as in `_extend`
            _of(into, dict)[key] = value


def _is_key(value: Any) -> bool:
    """Whether it may be a key, or a part of one. Of whole numbers that are larger, any number can
    have the same hash, and a dict of them takes the square of their number to make."""
    if type(value) is int:
        return -(2**63) <= value < 2**63
    return isinstance(value, (*_KEYS, Node))


def _extend(into: Any, items: list[Any]) -> None:
    """Append to a list; what a node is given so belongs to an object that is passed over."""
    if not isinstance(into, Node):
        _of(into, list).extend(items)


def _of(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise pickle.UnpicklingError(f"a {type(value).__name__} in place of a {kind.__name__}")
    return value


class Builder:
    """Makes values of what a pickle says."""

    def __init__(self, budget: Budget, known: "Names") -> None:
        self.budget = budget
        self._known, self._made, self._depth = known, dict[Node, tuple[Any, int]](), 0

    def __call__(self, value: Any) -> Any:
        """The value with every node in it made; what is in it twice counts twice.

        ValueError for what does not fit together, is nested too deeply, or is too much.
        """
        self.budget.take(16)
        if isinstance(value, Node):
            return self._node(value)
        if isinstance(value, Name) and OTHERS in self._known:
            return None
        if isinstance(value, str | bytes):
            self.budget.take(len(value))
        elif isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise ValueError("it has a whole number of more than 64 bits")
        elif isinstance(value, list | tuple | dict):
            return self._container(value)
        elif not isinstance(value, float | int | None):
            raise ValueError(f"it has a {type(value).__name__} for a value")
        return value

    def _container(self, value: Any) -> Any:
        self._deeper()
        if isinstance(value, dict):
            made: Any = {self(key): self(item) for key, item in value.items()}
        else:
            made = type(value)([self(item) for item in value])
        self._depth -= 1
        return made

    def _node(self, node: Node) -> Any:
        if node in self._made:
            made, cost = self._made[node]
            self.budget.take(cost)
            return made
        make = self._known.get(node.key)
        if make is None:
            if OTHERS in self._known:
                return None
            raise ValueError(f"it has {'.'.join(node.key)} for a value")
        before = self.budget.left
        self._deeper()
        made = make(self, node)
        self._depth -= 1
        self._made[node] = made, before - self.budget.left
        return made

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep, or holds itself")

    def array(self, shape: Any, dtype: Any, data: Any, order: str) -> np.ndarray:
        """An array of the bytes of `data`, or of as many objects."""
        dtype = _dtype(dtype)
        shape = checked_shape(self(shape), dtype, self.budget)
        if dtype.hasobject:
            return self._objects(shape, data, order)
        data = data.encode("latin1") if isinstance(data, str) else _buffer(self, data)
        if len(data) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"an array {shape} of {dtype} has {len(data)} bytes")
        flat = checked_texts(np.frombuffer(bytearray(data), dtype))
        return flat.reshape(shape, order=order)  # pyright: ignore

    def _objects(self, shape: tuple[int, ...], data: Any, order: str) -> np.ndarray:
        if not isinstance(data, list) or len(data) != math.prod(shape):
            raise ValueError(f"an array {shape} of objects has no list of as many")
        flat = np.empty(len(data), object)
        for place, value in enumerate(self(data)):
            flat[place] = value
        return flat.reshape(shape, order=order)  # pyright: ignore


Make = Callable[[Builder, Node], Any]
"""Makes what one kind of node stands for."""

Names = Mapping[tuple[str, str], Make | None]
"""Names that a pickle may use, and what makes a value of a node of that name."""


def dtype_named(text: str) -> np.dtype:
    """A dtype of numbers, strings or objects, in this machine's byte order or another.

    ValueError for any other: fields, sub-arrays, dates.
    """
    if not _DTYPE.fullmatch(text):
        raise ValueError(f"it has an array of {text[:40]!r}, expected numbers, texts or objects")
    return np.dtype("O" if "O" in text else text)


def checked_shape(shape: Any, dtype: np.dtype, budget: Budget) -> tuple[int, ...]:
    """The shape, if it is one and an array of it is within the budget."""
    if not (
        isinstance(shape, tuple)
        and len(shape) <= _MOST_DIMENSIONS
        and all(type(side) is int and 0 <= side < 2**48 for side in shape)
    ):
        raise ValueError(f"it has an array of shape {str(shape)[:40]}")
    budget.take(math.prod(max(side, 1) for side in shape) * max(dtype.itemsize, 1))
    return shape


def _buffer(build: Builder, data: Any) -> bytes:
    data = build(data)
    if not isinstance(data, bytes):
        raise ValueError(f"an array's numbers are a {type(data).__name__}, expected bytes")
    return data


def _dtype(node: Any) -> np.dtype:
    if not (isinstance(node, Node) and node.key == ("numpy", "dtype") and node.args):
        raise ValueError("an array has no dtype")
    dtype = dtype_named(_of(node.args[0], str))
    if node.state is None:
        return dtype
    state = _of(node.state, tuple)
    if len(state) < 5 or any(part is not None for part in state[2:5]):
        raise ValueError("it has an array of records, expected numbers, texts or objects")
    if state[1] not in ("<", ">", "=", "|"):
        raise ValueError("a dtype's byte order is none of < > = |")
    return dtype if state[1] == "|" else dtype.newbyteorder(state[1])


def _made_array(build: Builder, node: Node) -> np.ndarray:
    """numpy's `_reconstruct`, whose state is (version, shape, dtype, Fortran order, data)."""
    *_, shape, dtype, fortran, data = _of(node.state, tuple)
    return build.array(shape, dtype, data, "F" if fortran else "C")


def _array_of_bytes(build: Builder, node: Node) -> np.ndarray:
    """How numpy spells an array in pickle protocol 5."""
    data, dtype, shape, order = node.args
    if order not in ("C", "F"):
        raise ValueError("an array has no order")
    return build.array(shape, dtype, data, order)


def _scalar(build: Builder, node: Node) -> Any:
    dtype, data = node.args
    if _dtype(dtype).itemsize == 0:
        return "" if _dtype(dtype).kind == "U" else b""
    made = build.array((), dtype, data, "C")
    if made.dtype == object:
        raise ValueError("it has a scalar of objects")
    return made[()]


def _encoded(build: Builder, node: Node) -> bytes:
    """How pickle protocol 2 spells bytes."""
    text, encoding = node.args
    if encoding != "latin1":
        raise ValueError("only latin1 bytes are read")
    return _of(text, str).encode("latin1")


def _field(build: Builder, node: Node, *names: str) -> Any:
    """The first of some fields of a node's state that it has."""
    state = _of(node.state, dict)
    for name in names:
        if state.get(name) is not None:
            return build(state[name])
    raise ValueError(f"a {node.key[1]} lacks {names[-1]}")


def _chumpy(build: Builder, node: Node) -> np.ndarray:
    """chumpy.ch.Ch: the numbers are in `x`."""
    return as_array(_field(build, node, "x"))


def _chumpy_select(build: Builder, node: Node) -> np.ndarray:
    """chumpy.reordering.Select: `a.ravel()[idxs]` reshaped to `preferred_shape`."""
    values, places = (as_array(_field(build, node, name)) for name in ("a", "idxs"))
    build.budget.take(places.size * values.itemsize)
    return values.ravel()[places].reshape(_field(build, node, "preferred_shape"))


def _sparse(build: Builder, node: Node) -> np.ndarray:
    """scipy.sparse's compressed matrices: data, indices, indptr and shape. Made dense."""
    by_rows = node.key[1].startswith("csr")
    data, places, starts = (
        as_array(_field(build, node, name)).reshape(-1) for name in ("data", "indices", "indptr")
    )
    shape = checked_shape(_field(build, node, "_shape", "shape"), np.dtype(float), build.budget)
    if len(shape) != 2:
        raise ValueError(f"a sparse matrix has the shape {shape}")
    out = np.zeros(shape if by_rows else shape[::-1])
    counts = np.diff(starts.astype(np.int64))
    if len(counts) != len(out) or (counts < 0).any() or not (
        counts.sum() == len(data) == len(places)
    ):  # fmt: skip
        raise ValueError("a sparse matrix's numbers do not fit its shape")
    np.add.at(out, (np.repeat(np.arange(len(out)), counts), places.astype(np.int64)), data)
    return out if by_rows else out.T


def _sparse_places(build: Builder, node: Node) -> np.ndarray:
    """scipy.sparse's coordinate matrices: data, `coords` or `row` and `col`, and shape."""
    shape = checked_shape(_field(build, node, "_shape", "shape"), np.dtype(float), build.budget)
    state = _of(node.state, dict)
    places = (
        _field(build, node, "coords")
        if state.get("coords") is not None
        else [_field(build, node, name) for name in ("row", "col")]
    )
    data, *places = (as_array(x).reshape(-1) for x in (_field(build, node, "data"), *places))
    if len(places) != len(shape) or any(
        len(place) != len(data) or (len(data) and not 0 <= place.min() <= place.max() < side)
        for place, side in zip(places, shape, strict=False)
    ):
        raise ValueError("a sparse matrix's numbers do not fit its shape")
    out = np.zeros(shape)
    np.add.at(out, tuple(place.astype(np.int64) for place in places), data)
    return out


NAMES: Names = {
    ("numpy", "ndarray"): None,
    ("numpy", "matrix"): None,
    ("numpy.matrixlib.defmatrix", "matrix"): None,
    ("numpy", "dtype"): None,
    ("__builtin__", "object"): None,
    ("builtins", "object"): None,
    ("copy_reg", "_reconstructor"): None,
    ("copyreg", "_reconstructor"): None,
    _ORDERED: None,
    ("_codecs", "encode"): _encoded,
    ("chumpy.ch", "Ch"): _chumpy,
    ("chumpy.reordering", "Select"): _chumpy_select,
    **{
        (f"scipy.sparse.{module}", name): make
        for kind, make in (("csc", _sparse), ("csr", _sparse), ("coo", _sparse_places))
        for module in (kind, f"_{kind}")
        for name in (f"{kind}_matrix", f"{kind}_array")
    },
    **{
        (f"numpy.{core}.{module}", name): make
        for core in ("core", "_core")
        for module, name, make in (
            ("multiarray", "_reconstruct", _made_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _array_of_bytes),
        )
    },
}
"""Those of plain data."""


def checked_texts(array: np.ndarray) -> np.ndarray:
    """A flat array of bytes that were read; ValueError if texts in it are of no characters."""
    if array.dtype.kind == "U" and array.dtype.itemsize and array.size:
        codes = array.view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise ValueError("its texts hold numbers that are no characters")
    return array


def follow(stream: BytesIO, budget: Budget, more: Names) -> Any:
    """The first step alone, from where the stream stands: containers and nodes for a `Builder`.

    UnpicklingError, or whatever damage leads to, if it is no pickle or asks for other names.
    """
    return _Reader(stream, {**NAMES, **more}, budget).load()


def unpickle(data: bytes, budget: Budget | None = None, more: Names | None = None) -> Any:
    """What a pickle of plain data holds, without running any code from it.

    Args:
        data: the pickle.
        budget: what is left for what it holds; by default that of a file of its size.
        more: further names that it may use.

    ValueError if it is damaged, too large for the budget, or asks for anything else.
    """
    budget, more = budget or Budget(len(data)), more or {}
    try:
        return Builder(budget, {**NAMES, **more})(follow(BytesIO(data), budget, more))
    except Exception as error:  # a hostile or damaged pickle can raise anything
        says = str(error) if isinstance(error, ValueError | pickle.UnpicklingError) else ""
        reason = says or "it is damaged, cut short, or something else"
        raise ValueError(f"not a pickle of plain arrays: {reason}") from error


def read_pickle(path: Path, more: Names | None = None) -> dict[str, Any]:
    """The dict in a pickle of arrays, without running any code from it.

    ValueError if the file is damaged or asks for anything that is not an array.
    """
    try:
        content = unpickle(path.read_bytes(), more=more)
    except ValueError as error:
        raise ValueError(f"{path} is {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a dict of arrays, got {type(content).__name__}")
    return content


def as_array(value: Any) -> np.ndarray:
    """The value, if it is an array or a tensor of numbers or texts; ValueError if it is not."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value
    raise ValueError(f"expected an array of numbers, got {type(value).__name__}")
