"""Tensors, dicts of tensors and modules of torch, as safetensors files."""

from __future__ import annotations

import gc
import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings, strategies as st

from casreg.exceptions import MaterializationError, NoMaterializerError, UnknownClassError
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.folders import MemoryFile, Outgoing
from casreg.materializers.torch_module import TorchModule
from casreg.materializers.torch_state_dict import TorchStateDict
from casreg.materializers.torch_tensor import TorchTensor
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.materializers.base import InFolder

FILE = "data.safetensors"
pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
    torch.float4_e2m1fn_x2,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint64,
    torch.uint32,
    torch.uint16,
    torch.uint8,
    torch.bool,
    torch.complex32,
    torch.complex64,
    torch.complex128,
]


def tensor(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    """A tensor with bytes of its own in each element."""
    count = int(np.prod(shape))
    size = torch.empty(0, dtype=dtype).element_size()
    raw = torch.arange(count * size, dtype=torch.uint8) % (2 if dtype is torch.bool else 251)
    return raw.view(dtype).reshape(shape)


def same(a: object, b: object) -> bool:
    """Equal in type, dtype, shape, bytes and whether gradients are required; on the CPU."""
    assert isinstance(a, torch.Tensor)
    assert isinstance(b, torch.Tensor)
    form = type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape
    return form and a.requires_grad == b.requires_grad and b.device.type == "cpu" and raw(a) == raw(b)


def raw(one: torch.Tensor) -> bytes:
    """The bytes of a tensor, in C order."""
    plain = one.detach().resolve_conj().resolve_neg().contiguous()
    return bytes(plain.as_strided((plain.numel(),), (1,)).view(torch.uint8).numpy())


def same_dict(a: Any, b: Any) -> bool:
    """Equal in type, keys and their order, tensors, and versions of modules."""
    form = type(a) is type(b) and list(a) == list(b)
    return form and all(map(same, a.values(), b.values())) and vars_of(a) == vars_of(b)


def vars_of(container: object) -> dict[str, object]:
    """The attributes of an OrderedDict; a dict has none."""
    return getattr(container, "__dict__", {})


def network() -> torch.nn.Module:
    """A module with a buffer, a tied weight, and the same values in every process."""
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3), torch.nn.ReLU()
    )
    net[2].weight = net[0].weight
    for at, one in enumerate(net.parameters()):
        torch.nn.init.constant_(one, at + 0.5)
    return net


def saved(value: object, **options: Any) -> MemoryInFolder:
    """The files of a value, by the materializer that a registry would choose."""
    with materialize(value, MaterializerTable(BUILTIN), ClassTable(), **options) as done:
        return stored(done.folder)


class TestTensors(MaterializerContract):
    materializer = TorchTensor
    own_errors = True

    def examples(self) -> list[object]:
        return [
            *(tensor(dtype, 2, 3) for dtype in DTYPES),
            torch.tensor(1.5),
            torch.tensor(3 + 4j).to(torch.complex128),
            torch.zeros(0, 3, dtype=torch.int16),
            torch.zeros(2, 0, dtype=torch.complex128),
            torch.arange(6.0).reshape(2, 3).t(),
            torch.arange(10)[::3],
            torch.arange(10)[::10],
            torch.tensor(2.0).expand(3, 2),
            torch.arange(16.0).reshape(1, 2, 2, 4).to(memory_format=torch.channels_last),
            torch.tensor([1 + 2j]).conj(),
            torch.tensor([1 + 2j]).conj().imag,
            torch.tensor([1.0], requires_grad=True),
            torch.tensor([1.0], requires_grad=True) * 2,
            torch.nn.Parameter(torch.ones(2)),
            torch.nn.Parameter(torch.ones(2, dtype=torch.int8), requires_grad=False),
        ]

    def equal(self, saved: object, loaded: object) -> bool:
        return same(saved, loaded)


class TestStateDicts(MaterializerContract):
    materializer = TorchStateDict
    own_errors = True
    damages = 200

    def examples(self) -> list[object]:
        shared = torch.nn.Parameter(torch.ones(3))
        return [
            {
                "w": torch.ones(2, 3),
                "b": tensor(torch.bfloat16, 3),
                "n": torch.tensor(7),
                "é": torch.zeros(0),
            },
            OrderedDict(z=torch.zeros(3, dtype=torch.uint8), a=torch.ones(2)),
            network().state_dict(),
            network().state_dict(keep_vars=True),
            {"a": shared, "": shared, "b": shared.detach(), "c": tensor(torch.complex128, 2)},
        ]

    def equal(self, saved: object, loaded: object) -> bool:
        return same_dict(saved, loaded)


class StateOfModule(TorchModule):
    """Gives the state dict, since the contract has no module to load into."""

    __module__ = TorchModule.__module__  # whose imports the contract shall look at

    def load(self, folder: InFolder, cls: type | None) -> object:
        del cls
        return super().load(folder, dict)


class TestModules(MaterializerContract):
    materializer = StateOfModule
    own_errors = True

    def examples(self) -> list[object]:
        return [network(), torch.nn.ReLU(), network().to(torch.bfloat16)]

    def equal(self, saved: object, loaded: object) -> bool:
        assert isinstance(saved, torch.nn.Module)
        return same_dict(saved.state_dict(), loaded)

    def to_save_again(self, saved: object, loaded: object) -> object:
        assert isinstance(saved, torch.nn.Module)
        saved.load_state_dict(cast("Any", loaded))
        return saved


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.text(max_size=5),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=4)),
        min_size=1,
        max_size=6,
    )
)
def test_any_dict_of_tensors_comes_back(forms: dict[str, tuple[torch.dtype, list[int]]]) -> None:
    """Names, order, dtypes, shapes and bytes."""
    value = {name: tensor(dtype, *shape) for name, (dtype, shape) in forms.items()}
    folder = saved(value)
    assert list(folder.files) == [FILE]
    assert same_dict(value, TorchStateDict().load(folder, None))


def test_the_library_reads_what_casreg_writes(tmp_path: Path) -> None:
    """Tensors of all dtypes that the format has, under their names."""
    plain = [
        dtype for dtype in DTYPES if dtype not in (torch.complex32, torch.complex128, torch.float4_e2m1fn_x2)
    ]
    value = {str(dtype): tensor(dtype, 3, 5) for dtype in plain}
    (tmp_path / FILE).write_bytes(saved(value).files[FILE])
    found = safetensors.torch.load_file(tmp_path / FILE)
    assert found.keys() == value.keys()
    assert all(same(value[name], found[name]) for name in value)


@pytest.mark.parametrize("shape", [(1,), (2,), (3, 3), (3, 2, 3), (64,)])
def test_doubled_numbers_are_loaded_aligned(shape: tuple[int, ...]) -> None:
    """complex128 is stored as pairs of float64, half as aligned; torch's own copy of such a one ended the process."""
    value = {"one": tensor(torch.float64, 1), "pairs": tensor(torch.complex128, *shape)}
    found = TorchStateDict().load(saved(value), None)
    assert isinstance(found, dict)
    assert same_dict(value, found)
    assert found["pairs"].data_ptr() % 16 == 0


def test_casreg_reads_what_the_library_writes() -> None:
    """A file that was made elsewhere is a dict of tensors too."""
    plain = [
        dtype for dtype in DTYPES if dtype not in (torch.complex32, torch.complex128, torch.float4_e2m1fn_x2)
    ]
    value = {
        str(dtype): tensor(dtype, 3, 5) for dtype in plain if dtype is not torch.float8_e8m0fnu
    }  # not written
    folder = MemoryInFolder({FILE: safetensors.torch.save(value, {"format": "pt", "step": "7"})})
    found = TorchStateDict().load(folder, None)
    assert isinstance(found, dict)
    assert found.keys() == value.keys()
    assert all(same(value[name], found[name]) for name in value)


def test_bytes_of_a_file_are_frozen() -> None:
    """The same tensors give the same bytes under every release of torch and of safetensors."""
    value = {"b": torch.tensor([1, 2], dtype=torch.uint8), "w": torch.nn.Parameter(torch.tensor([1.5]))}
    value["tied"] = value["w"]
    text = (
        rb'{"__metadata__":{"casreg":"{\"parameters\":[\"w\",\"tied\"],\"requires_grad\":[\"w\",\"tied\"],'
        rb'\"shared\":{\"tied\":\"w\"},\"order\":[\"b\",\"w\",\"tied\"]}","format":"pt"},'
        rb'"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    )
    assert saved(value).files[FILE] == (312).to_bytes(8, "little") + text.ljust(312) + b"\0\0\xc0\x3f\1\2"


def test_contiguous_tensors_are_not_copied_on_the_way_in() -> None:
    """The buffers that are stored are the tensors' own memory."""
    value = {"a": torch.ones(5), "b": torch.nn.Parameter(torch.ones(2, 2))}
    folder = Outgoing()
    TorchStateDict().save(value, folder)
    (entry,) = folder.entries()
    assert isinstance(entry, MemoryFile)
    places = [np.asarray(buffer).ctypes.data for buffer in entry.buffers[1:]]
    assert places == [one.data_ptr() for one in value.values()]


def test_tensors_are_read_once_into_their_final_memory() -> None:
    """Loading asks for the file once, into a buffer that all tensors then stand on; it lives as long as one of them."""
    reads = []

    class Watched(MemoryInFolder):
        def read(self, path: str) -> memoryview:
            raise AssertionError(path)

        def read_into(self, path: str, buffer: Any) -> None:
            reads.append((buffer.ctypes.data, buffer.nbytes))
            super().read_into(path, buffer)

    found = TorchStateDict().load(Watched(saved({"a": torch.ones(999), "b": torch.ones(3)}).files), None)
    assert isinstance(found, dict)
    ((start, size),) = reads
    assert all(start < one.data_ptr() < start + size for one in found.values())
    last = found["b"]
    del found
    gc.collect()
    assert last.tolist() == [1.0] * 3


def test_loaded_tensors_have_storages_of_their_own() -> None:
    """Saving or resizing one of them elsewhere takes no other along."""
    found = TorchStateDict().load(saved({"a": torch.ones(999), "b": torch.ones(3)}), None)
    assert isinstance(found, dict)
    assert [one.untyped_storage().nbytes() for one in found.values()] == [4 * 999, 12]
    found["b"] += 1
    assert found["a"].eq(1).all()


def test_data_are_aligned() -> None:
    """Larger elements come first, so that the file can be mapped and used where it lies."""
    value = {str(dtype): tensor(dtype, 3) for dtype in reversed(DTYPES)}
    found = TorchStateDict().load(saved(value), None)
    assert isinstance(found, dict)
    start = min(one.data_ptr() for one in found.values())
    assert all((one.data_ptr() - start) % min(one.element_size(), 8) == 0 for one in found.values())


def test_places_do_not_depend_on_values() -> None:
    """Training the last layer changes its bytes and no others: the rest is stored once."""
    before = network().state_dict()
    after = {**before}
    after["2.bias"] = before["2.bias"] + 1
    one, two = (saved(value).files[FILE] for value in (dict(before), after))
    assert len(one) == len(two)
    assert sum(a != b for a, b in zip(one, two, strict=True)) <= before["2.bias"].nbytes


def test_tied_weights_are_stored_once_and_tied_again() -> None:
    """Names that share their memory share it again, also in a state dict, whose tensors are detached."""
    state = network().state_dict()
    folder = saved(state)
    assert folder.files[FILE].count(raw(state["0.weight"])) == 1
    found: Any = TorchStateDict().load(folder, None)
    found["0.weight"] += 1
    assert torch.equal(found["2.weight"], state["0.weight"] + 1)


def test_one_object_under_two_names_is_one_object_again() -> None:
    """An optimizer that knows it by identity finds it."""
    weight = torch.nn.Parameter(torch.ones(2))
    found: Any = TorchStateDict().load(saved({"a": weight, "b": weight, "c": weight.detach()}), None)
    assert found["a"] is found["b"]
    assert type(found["c"]) is torch.Tensor
    assert found["c"].data_ptr() == found["a"].data_ptr()


def test_tensors_without_elements_share_nothing() -> None:
    """Two of them have no memory; that makes them no one tensor."""
    found: Any = TorchStateDict().load(saved({"a": torch.zeros(0), "b": torch.zeros(0)}), None)
    assert found["a"] is not found["b"]


def test_views_that_only_overlap_are_stored_by_their_values() -> None:
    """A part of a tensor is no part any more when it comes back, nor is another view of the same memory."""
    base = torch.arange(6.0).reshape(2, 3)
    value = {
        "base": base,
        "row": base[0],
        "turned": base[:, :2].t(),
        "square": base[:, :2],
        "bits": base.view(torch.int32),
    }
    assert same_dict(value, TorchStateDict().load(saved(value), None))


@pytest.mark.parametrize("inner", [dict, OrderedDict])
def test_a_checkpoint_has_one_file_for_each_dict_of_tensors(inner: type) -> None:
    """Nested in other values, a dict of tensors is one safetensors file too, and not one for each tensor."""
    value = {"epoch": 3, "model": inner(a=torch.ones(2), b=torch.zeros(3))}
    folder = saved(value)
    assert sorted(folder.files) == ["data.json", "parts/0/data.safetensors"]
    found: Any = load_object(MaterializerTable(BUILTIN).for_id("python.json/1"), folder)
    assert found["epoch"] == 3
    assert same_dict(found["model"], value["model"])


def test_the_state_of_an_optimizer_comes_back() -> None:
    """Nested dicts with integers for keys, tensors and settings."""
    net = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    found: Any = load_object(MaterializerTable(BUILTIN).for_id("python.json/1"), saved(state))
    assert found["param_groups"] == state["param_groups"]
    assert all(same_dict(found["state"][at], state["state"][at]) for at in state["state"])
    torch.optim.Adam(net.parameters()).load_state_dict(found)


@pytest.mark.parametrize(
    "value",
    [
        {"a": np.zeros(2)},
        {"a": torch.ones(1), "b": 2},
        {1: torch.ones(1)},
        {},
        {"__metadata__": torch.ones(1)},
    ],
    ids=str,
)
def test_other_dicts_stay_json(value: dict[Any, Any]) -> None:
    """Only what a safetensors file holds without loss goes there."""
    with materialize(value, MaterializerTable(BUILTIN), ClassTable()) as done:
        assert done.materializer.id == "python.json/1"


def test_a_materializer_that_was_registered_for_dicts_has_them_all() -> None:
    """The built-in rule for tensors does not come before the caller's."""

    class Mine:
        id = "test.mine/1"
        types = (dict,)

        def save(self, obj: object, folder: Any) -> None:
            folder.add("x", b"")

        def load(self, folder: Any, cls: type | None) -> object:
            return {}

    table = MaterializerTable(BUILTIN)
    table.register(dict, Mine)
    with materialize({"a": torch.ones(1)}, table, ClassTable()) as done:
        assert done.materializer.id == "test.mine/1"


def odd_tensors() -> dict[str, Any]:
    """Tensors that would not come back, each with what its error names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some kinds are experimental
        return {
            "to_dense": torch.eye(2).to_sparse(),
            "sparse_csr": torch.eye(2).to_sparse_csr(),
            "int_repr": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8),
            "unbind": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
            "'meta'": torch.empty(2, device="meta"),
            "bits8": torch.zeros(2, dtype=torch.uint8).view(torch.bits8),
            "as_subclass": torch.ones(2).as_subclass(Marked),
            "run the module once": torch.nn.LazyLinear(2).weight,
        }


class Marked(torch.Tensor):  # type: ignore[misc]  # mypy does not look into torch
    """A tensor with a meaning of its own."""


@pytest.mark.parametrize("named", list(odd_tensors()))
def test_tensors_that_would_not_come_back_are_refused(named: str) -> None:
    """Alone, in a dict, and in a module; with the way out."""
    odd = odd_tensors()[named]
    module = torch.nn.Module()
    module.state_dict = lambda: OrderedDict(x=odd)
    for value in (odd, {"x": odd}, [odd], module):
        with pytest.raises(NoMaterializerError, match=named):
            saved(value)


def test_an_odd_tensor_is_pickled_where_that_is_allowed() -> None:
    """Pickle takes what nothing else does, and only then."""
    with materialize(
        torch.eye(2).to_sparse(), MaterializerTable(BUILTIN), ClassTable(), allow_pickle=True
    ) as done:
        assert done.materializer.id == "python.pickle/1"


def test_a_module_is_never_pickled() -> None:
    """Its state is stored also where pickle is allowed: what is pickled names code."""
    with materialize(network(), MaterializerTable(BUILTIN), ClassTable(), allow_pickle=True) as done:
        assert done.materializer.id == "torch.module/1"


def test_a_module_as_a_part_is_refused() -> None:
    """There would be no module to load it into."""
    with pytest.raises(NoMaterializerError, match=r"value\['net'\].*state_dict"):
        saved({"net": network()})


def test_a_module_whose_state_is_no_tensors_is_refused() -> None:
    """The error names the entry."""

    class Extra(torch.nn.Linear):  # type: ignore[misc]  # as above
        def get_extra_state(self) -> object:
            return {"seen": 3}

    with pytest.raises(NoMaterializerError, match=r"state of this .*Extra.*_extra_state.*no tensor"):
        saved(Extra(2, 2))


def test_a_module_without_a_place_says_what_to_write() -> None:
    """A module is code, which is the caller's."""
    with pytest.raises(UnknownClassError, match=r"registry\.load\(name, into=module\)"):
        TorchModule().load(saved(network()), None)


def test_attributes_of_a_dict_are_not_lost() -> None:
    """The versions of a state dict are stored; anything else on an OrderedDict is refused."""
    state: Any = OrderedDict(a=torch.ones(1))
    state.note = "mine"
    with pytest.raises(NoMaterializerError, match="note"):
        saved(state)
    del state.note
    state._metadata = {"": {"version": object()}}
    with pytest.raises(NoMaterializerError, match="_metadata"):
        saved(state)


def with_notes(notes: str) -> MemoryInFolder:
    """A file whose header has these notes of casreg."""
    return MemoryInFolder(
        {FILE: safetensors.torch.save({"a": torch.ones(2, 2), "t": torch.tensor([True])}, {"casreg": notes})}
    )


@pytest.mark.parametrize(
    "notes",
    [
        "",
        "[]",
        "7",
        '{"unknown":1}',
        '{"dtypes":[]}',
        '{"dtypes":{"a":7}}',
        '{"dtypes":{"a":"complex128"}}',
        '{"dtypes":{"a":"os.system"}}',
        '{"dtypes":{"a":"float32"}}',
        '{"parameters":"a"}',
        '{"parameters":[7]}',
        '{"parameters":["t"],"requires_grad":["t"]}',
        '{"requires_grad":["t"]}',
        '{"shared":{"b":"a"}}',
        '{"shared":{"b":"x"},"order":["a","b","t"]}',
        '{"shared":{"b":"b"},"order":["a","b","t"]}',
        '{"shared":{"a":"t"},"order":["a","a","t"]}',
        '{"shared":{"a":"t"},"order":["a","t"]}',
        '{"shared":{"b":"a"},"order":["a","b","b","t"]}',
        '{"container":"Counter"}',
        '{"container":7}',
        '{"state":{}}',
        '{"container":"OrderedDict","state":[]}',
        '{"container":"OrderedDict","state":null}',
    ],
)
def test_hostile_notes_are_refused(notes: str) -> None:
    """Notes are data of a strict form: whatever they say, the answer is an error of casreg."""
    with pytest.raises(MaterializationError):
        TorchStateDict().load(with_notes(notes), None)


def test_a_dtype_that_an_older_torch_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do."""
    folder = saved(tensor(torch.float8_e8m0fnu, 3))
    monkeypatch.delattr(torch, "float8_e8m0fnu")
    with pytest.raises(MaterializationError, match=r"float8_e8m0fnu.*newer"):
        TorchTensor().load(folder, None)


def test_truth_values_are_zero_or_one() -> None:
    """Other bytes in a tensor of bools would be read in undefined ways."""
    data = bytearray(saved(torch.tensor([True, False])).files[FILE])
    data[-1] = 2
    with pytest.raises(MaterializationError, match="truth"):
        TorchTensor().load(MemoryInFolder({FILE: bytes(data)}), None)


def test_a_tensor_needs_its_name() -> None:
    """A dict of tensors is not taken for one tensor."""
    with pytest.raises(MaterializationError, match="'tensor'"):
        TorchTensor().load(MemoryInFolder(saved({"a": torch.ones(1)}).files), None)


def test_the_state_materializer_takes_no_other_values() -> None:
    """Also where the caller names it."""
    with pytest.raises(NoMaterializerError, match="without `materializer=`"):
        saved({"a": 1}, materializer=TorchStateDict)
