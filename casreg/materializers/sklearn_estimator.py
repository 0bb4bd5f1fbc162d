"""scikit-learn's estimators: attributes as JSON and arrays, loaded without a flag and without pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casreg.exceptions import NoMaterializerError
from casreg.materializers.classes import dotted
from casreg.materializers.tree.files import dump, load
from casreg.materializers.tree.objects.names import MODULE_OF
from casreg.materializers.tree.objects.objects import SKLEARN

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder

FILE = "model.json"


class SklearnEstimator:
    """An estimator, fitted or not, in `model.json`, its large arrays in .npy files beside it.

    Exactly the classes of casreg's reviewed table load without a flag; others need `trusted=[...]`.  The parameter
    `sklearn` says which release saved it: another minor release warns when it loads.
    """

    id: ClassVar[str] = "sklearn.estimator/1"
    types: tuple[type | str, ...] = ("sklearn.base.BaseEstimator",)
    parameters: tuple[str, ...] = (SKLEARN,)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        name = dotted(type(obj))
        try:
            dump(obj, folder, FILE)
        except NoMaterializerError as err:
            if name in folder.trusted or type(obj).__name__ in MODULE_OF:
                raise
            raise NoMaterializerError(
                f"{name} is not in casreg's table of reviewed estimators; if you trust it, save it with "
                f"`trusted=[{name!r}]`, and load it with the same"
            ) from err

    def load(self, folder: InFolder, cls: type | None) -> object:
        """See `Materializer.load`."""
        return load(folder, FILE, cls)
